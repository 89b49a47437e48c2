"""What `exchange directory find`, `owner`, `search`, `who` and the duty sheet say: reasons and labels."""

from __future__ import annotations

from typing import Final

from exchange.phrases.languages import Phrases, table

# directory/find's reasons, by code; the facts in braces are worded by the command before they are put in
REASONS: Final[Phrases] = table(
    """
    exact | fits exactly | corresponde exactamente | corresponde exatamente | correspond exactement
    function | the function, but not for this topic | la función, pero no para este tema | a função, mas não para este tema | la fonction, mais pas pour ce sujet
    topic | fallback: this topic, but another function ({function}) | alternativa: este tema, pero otra función ({function}) | alternativa: este tema, mas outra função ({function}) | à défaut : ce sujet, mais une autre fonction ({function})
    round-the-clock | fallback: the desk that is always there ({function}) | alternativa: la guardia permanente ({function}) | alternativa: o plantão permanente ({function}) | à défaut : la permanence ({function})
    spoc | fallback: the single point of contact | alternativa: el punto único de contacto | alternativa: o ponto único de contato | à défaut : le point de contact unique
    npc | fallback: the national point of contact | alternativa: el punto nacional de contacto | alternativa: o ponto nacional de contato | à défaut : le point de contact national
    secretariat | nobody there can be reached: the secretariat | allí no responde nadie: la secretaría | lá ninguém atende: a secretaria | personne n'y répond : le secrétariat
    neighbour | nobody there can be reached: a neighbour, {country} | allí no responde nadie: un vecino, {country} | lá ninguém atende: um vizinho, {country} | personne n'y répond : un voisin, {country}
    other-community | ANOTHER COMMUNITY: {community}, not {wanted} | OTRA COMUNIDAD: {community}, no {wanted} | OUTRA COMUNIDADE: {community}, não {wanted} | AUTRE COMMUNAUTÉ : {community}, et non {wanted}
    always | answers round the clock ({local} there) | responde las 24 horas (allí son las {local}) | atende 24 horas (lá são {local}) | répond 24h/24 (il est {local} là-bas)
    open | open now, until {until} ({local} there) | abierto hasta {until} (allí son las {local}) | aberto até {until} (lá são {local}) | ouvert jusqu'à {until} (il est {local} là-bas)
    closed | closed now, opens {until} ({local} there) | cerrado, abre {until} (allí son las {local}) | fechado, abre {until} (lá são {local}) | fermé, ouvre {until} (il est {local} là-bas)
    holiday | HOLIDAY there ({holiday}), opens {until} | FERIADO allí ({holiday}), abre {until} | FERIADO lá ({holiday}), abre {until} | JOUR FÉRIÉ là-bas ({holiday}), ouvre {until}
    hours-unknown | hours unknown here | horario desconocido aquí | horário desconhecido aqui | horaires inconnus ici
    language | {level} {language} | {level} {language} | {level} {language} | {level} {language}
    no-language | no {language}; has {has} | sin {language}; tiene {has} | sem {language}; tem {has} | pas de {language} ; a {has}
    validated | validated {validated} | validado {validated} | validado {validated} | validé {validated}
    due | validated {validated}, due again soon | validado {validated}, pronto por validar | validado {validated}, a validar em breve | validé {validated}, bientôt à revalider
    overdue | OVERDUE: last validated {validated} | VENCIDO: última validación {validated} | VENCIDO: última validação {validated} | EN RETARD : dernière validation {validated}
    lapsed | LAPSED, last resort: last validated {validated} | CADUCADO, último recurso: última validación {validated} | CADUCADO, último recurso: última validação {validated} | CADUC, dernier recours : dernière validation {validated}
    suspect | SUSPECT: did not answer its last two tests | DUDOSO: no respondió a sus dos últimas pruebas | DUVIDOSO: não respondeu aos dois últimos testes | DOUTEUX : n'a pas répondu à ses deux derniers tests
    tested | last test {at}: {result} | última prueba {at}: {result} | último teste {at}: {result} | dernier test {at} : {result}
    untested | never tested | nunca probado | nunca testado | jamais testé
    """  # noqa: E501 - a row of a table is one line
)

RESULTS: Final[Phrases] = table(
    """
    ok | answered in {minutes} min | respondió en {minutes} min | respondeu em {minutes} min | réponse en {minutes} min
    late | answered late, {minutes} min | respondió tarde, {minutes} min | respondeu tarde, {minutes} min | réponse tardive, {minutes} min
    none | no answer | sin respuesta | sem resposta | sans réponse
    """  # noqa: E501 - a row of a table is one line
)

LABELS: Final[Phrases] = table(
    """
    nobody | nobody fits | nadie corresponde | ninguém corresponde | personne ne correspond
    no-owner | no member claims it | ningún miembro lo reclama | nenhum membro o reivindica | aucun membre ne le revendique
    conflict | CONFLICT: claimed equally by {members}; tell the officers | CONFLICTO: lo reclaman por igual {members}; avise a los oficiales | CONFLITO: reivindicado igualmente por {members}; avise os oficiais | CONFLIT : revendiqué également par {members} ; prévenez les officiers
    overlap | also claimed, less closely | reclamado también, con menos precisión | reivindicado também, com menos precisão | revendiqué aussi, moins précisément
    unreadable | can't be read: {fault} | no se puede leer: {fault} | não pode ser lido: {fault} | illisible : {fault}
    replica | this node's copy of the directory: {size} leaves, checked with the hub {at}, {age} ago | copia local del directorio: {size} hojas, comprobada con el hub {at}, hace {age} | cópia local do diretório: {size} folhas, verificada com o hub {at}, há {age} | copie locale de l'annuaire : {size} feuilles, vérifiée auprès du hub {at}, il y a {age}
    stale | older than 24 h: call before you rely on it, and connect the node | más de 24 h de antigüedad: llame antes de confiar en ella y conecte el nodo | mais de 24 h de idade: ligue antes de confiar nela e conecte o nó | vieille de plus de 24 h : appelez avant de vous y fier, et reconnectez le nœud
    set-aside | {count} parts of records can't be read here and were left out | {count} partes de registros no se pueden leer aquí y se omitieron | {count} partes de registros não podem ser lidas aqui e foram omitidas | {count} parties de fiches sont illisibles ici et ont été omises
    own-keys | mail is sealed to keys of its own | el correo se sella con claves propias | o correio é selado com chaves próprias | le courrier est scellé à ses propres clés
    sheet | Duty sheet | Hoja de guardia | Folha de plantão | Fiche de permanence
    printed | printed {at} from the directory's {size} leaves of {known} | impresa {at} desde las {size} hojas del directorio, del {known} | impressa {at} das {size} folhas do diretório, de {known} | imprimée {at} depuis les {size} feuilles de l'annuaire, du {known}
    digits | checkpoint digits | dígitos del punto de control | dígitos do ponto de controle | chiffres du point de contrôle
    caution | Holds telephone numbers for holders only: keep it as you keep keys, destroy the old one. | Contiene teléfonos reservados: guárdela como llaves, destruya la anterior. | Contém telefones reservados: guarde-a como chaves, destrua a anterior. | Contient des numéros réservés : gardez-la comme des clés, détruisez l'ancienne.
    country | country | país | país | pays
    contact | contact | contacto | contato | contact
    function | function | función | função | fonction
    community | community | comunidad | comunidade | communauté
    instruments | instruments | instrumentos | instrumentos | instruments
    keys | keys | claves | chaves | clés
    role | role | cargo | cargo | rôle
    primary | primary | titular | titular | titulaire
    deputy | deputy | suplente | suplente | suppléant
    since | since | desde | desde | depuis
    confirm-by | confirm by | confirmar antes de | confirmar até | à confirmer avant le
    nominated-by | nominated by | designado por | designado por | désigné par
    member | member | miembro | membro | membre
    contacts | contacts | contactos | contatos | contacts
    in-time | in time | a tiempo | em dia | à jour
    phones | phones | teléfonos | telefones | téléphones
    e-mail | e-mail | correo | e-mail | courriel
    hours | hours | horario | horário | horaires
    languages | languages | idiomas | idiomas | langues
    topics | topics | temas | temas | sujets
    last-test | last test | última prueba | último teste | dernier test
    standing | standing | estado | estado | état
    persons | persons | personas | pessoas | personnes
    urgent | if urgent | si es urgente | se urgente | en cas d'urgence
    always | 24x7 | 24x7 | 24x7 | 24h/24
    phone_247 | 24x7 | 24x7 | 24x7 | 24h/24
    phone_office | office | oficina | escritório | bureau
    satphone | satellite | satélite | satélite | satellite
    sms | SMS | SMS | SMS | SMS
    signal | Signal | Signal | Signal | Signal
    other | other | otro | outro | autre
    none | none | ninguno | nenhum | aucun
    """  # noqa: E501 - a row of a table is one line
)
