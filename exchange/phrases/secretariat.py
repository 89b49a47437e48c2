"""What the secretariat writes in people's languages: reminders, tests, letters, how it brings two sides together."""

from __future__ import annotations

from typing import Final

from exchange.phrases.languages import Phrases, table

REMINDER: Final[Phrases] = table(
    """
    subject | Contact points to confirm: {count} | Puntos de contacto por confirmar: {count} | Pontos de contato a confirmar: {count} | Points de contact à confirmer : {count}
    intro | The directory asks whether these contact points are still right: | El directorio pregunta si estos puntos de contacto siguen siendo correctos: | O diretório pergunta se estes pontos de contato continuam corretos: | L'annuaire demande si ces points de contact sont toujours exacts :
    due | {address}: {function}; to be confirmed by {day} | {address}: {function}; confirmar antes del {day} | {address}: {function}; confirmar até {day} | {address} : {function} ; à confirmer avant le {day}
    overdue | {address}: {function}; OVERDUE since {day} | {address}: {function}; VENCIDO desde el {day} | {address}: {function}; VENCIDO desde {day} | {address} : {function} ; EN RETARD depuis le {day}
    lapsed | {address}: {function}; LAPSED, was to be confirmed by {day}; used only as a last resort | {address}: {function}; CADUCADO, debía confirmarse antes del {day}; solo se usa como último recurso | {address}: {function}; CADUCADO, devia ser confirmado até {day}; usado só como último recurso | {address} : {function} ; CADUC, était à confirmer avant le {day} ; n'est plus utilisé qu'en dernier recours
    how | Nothing has changed? One command at the node says so: exchange directory contact confirm --all | ¿No ha cambiado nada? Basta un comando en el nodo: exchange directory contact confirm --all | Nada mudou? Basta um comando no nó: exchange directory contact confirm --all | Rien n'a changé ? Une commande suffit sur le nœud : exchange directory contact confirm --all
    copy | This goes to the nominating authority too, because something is overdue. | Se envía también a la autoridad que nombra, porque hay vencidos. | Segue também para a autoridade que nomeia, porque há vencidos. | Une copie va à l'autorité de désignation, car il y a du retard.
    """  # noqa: E501 - a row of a table is one line
)

PING: Final[Phrases] = table(
    """
    subject | TEST of the contact point {address} | PRUEBA del punto de contacto {address} | TESTE do ponto de contato {address} | TEST du point de contact {address}
    text | This is a test: nothing has happened. Please acknowledge this message at once; nothing else is needed. What counts is how soon a person does. | Es una prueba: no ha pasado nada. Acuse recibo de este mensaje cuanto antes; no hace falta nada más. Cuenta el tiempo que tarda una persona. | É um teste: nada aconteceu. Acuse o recebimento desta mensagem o quanto antes; nada mais é preciso. Conta o tempo que uma pessoa leva. | Ceci est un test : il ne s'est rien passé. Veuillez accuser réception de ce message au plus vite ; rien d'autre n'est nécessaire. Seul compte le délai d'une personne.
    """  # noqa: E501 - a row of a table is one line
)

COUNTERPART: Final[Phrases] = table(
    """
    ask-subject | Somebody looks for a counterpart: {topic}, {country} | Alguien busca una contraparte: {topic}, {country} | Alguém procura uma contraparte: {topic}, {country} | Quelqu'un cherche un homologue : {topic}, {country}
    ask | A member of the network looks for a counterpart for {topic} in {country}. May the secretariat introduce you to each other? Neither side learns of the other before you accept. | Un miembro de la red busca una contraparte para {topic} en {country}. ¿Puede la secretaría presentarlos? Ninguna parte sabe de la otra antes de que usted acepte. | Um membro da rede procura uma contraparte para {topic} em {country}. A secretaria pode apresentá-los? Nenhum lado sabe do outro antes de você aceitar. | Un membre du réseau cherche un homologue pour {topic} en {country}. Le secrétariat peut-il vous présenter ? Aucune partie n'apprend l'identité de l'autre avant votre accord.
    answer | Answer by {by}: exchange directory accept {id}, or exchange directory decline {id} --reason TEXT | Responda antes del {by}: exchange directory accept {id}, o exchange directory decline {id} --reason TEXTO | Responda até {by}: exchange directory accept {id}, ou exchange directory decline {id} --reason TEXTO | Répondez avant le {by} : exchange directory accept {id}, ou exchange directory decline {id} --reason TEXTE
    accepted | Yes, introduce us | Sí, preséntenos | Sim, apresente-nos | Oui, présentez-nous
    declined | No | No | Não | Non
    subject | Introduction: {topic}, {country} | Presentación: {topic}, {country} | Apresentação: {topic}, {country} | Mise en relation : {topic}, {country}
    intro | The secretariat introduces you to {address}, as both sides wished: | La secretaría le presenta a {address}, como ambas partes deseaban: | A secretaria apresenta-lhe {address}, como ambos os lados desejaram: | Le secrétariat vous met en relation avec {address}, comme les deux parties le souhaitaient :
    purpose | What it is about: {purpose} | De qué se trata: {purpose} | Do que se trata: {purpose} | Objet : {purpose}
    """  # noqa: E501 - a row of a table is one line
)

CARD: Final[Phrases] = table(
    """
    name | name: {value} | nombre: {value} | nome: {value} | nom : {value}
    member | member: {value} | miembro: {value} | membro: {value} | membre : {value}
    country | country: {value} | país: {value} | país: {value} | pays : {value}
    function | function: {value} | función: {value} | função: {value} | fonction : {value}
    topics | topics: {value} | temas: {value} | temas: {value} | sujets : {value}
    role | role: {value} | cargo: {value} | cargo: {value} | rôle : {value}
    email | e-mail: {value} | correo: {value} | e-mail: {value} | courriel : {value}
    phone | telephone: {value} | teléfono: {value} | telefone: {value} | téléphone : {value}
    languages | languages: {value} | idiomas: {value} | idiomas: {value} | langues : {value}
    persons | persons: {value} | personas: {value} | pessoas: {value} | personnes : {value}
    """
)

LETTER: Final[Phrases] = table(
    """
    to | To the Permanent Mission of {country} | A la Misión Permanente de {country} | À Missão Permanente de {country} | À la Mission permanente de {country}
    subject | Contact points of the network for secure information exchange | Puntos de contacto de la red de intercambio seguro de información | Pontos de contato da rede de intercâmbio seguro de informações | Points de contact du réseau d'échange sécurisé d'informations
    body | The secretariat has reminded these contact points several times and had no confirmation. Since then they are used only as a last resort: | La secretaría ha recordado varias veces a estos puntos de contacto y no ha recibido confirmación. Desde entonces solo se usan como último recurso: | A secretaria lembrou várias vezes estes pontos de contato e não recebeu confirmação. Desde então são usados só como último recurso: | Le secrétariat a rappelé plusieurs fois ces points de contact sans recevoir de confirmation. Depuis lors, ils ne sont utilisés qu'en dernier recours :
    item | - {function} ({address}), last confirmed {day} | - {function} ({address}), última confirmación {day} | - {function} ({address}), última confirmação {day} | - {function} ({address}), dernière confirmation le {day}
    wish | It asks the Mission to have them confirmed, or others nominated by note verbale. | Ruega a la Misión que gestione su confirmación o el nombramiento de otros por nota verbal. | Pede à Missão que providencie a confirmação ou a nomeação de outros por nota verbal. | Il prie la Mission de bien vouloir les faire confirmer, ou en faire désigner d'autres par note verbale.
    """  # noqa: E501 - a row of a table is one line
)
