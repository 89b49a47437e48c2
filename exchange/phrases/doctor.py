"""What `exchange doctor` says of each thing it looks at, and what mends it. Commands and codes are not translated."""

from __future__ import annotations

from typing import Final

from exchange.phrases.languages import Phrases, table

FOUND: Final[Phrases] = table(
    """
    error | {detail} [{code}] | {detail} [{code}] | {detail} [{code}] | {detail} [{code}]
    late | no answer within {seconds} s | sin respuesta en {seconds} s | sem resposta em {seconds} s | pas de réponse en {seconds} s
    modes.ok | only this user reads the home | solo este usuario lee la carpeta | só este usuário lê a pasta | seul cet utilisateur lit le dossier
    modes.open | others may read {count} entries: {names} | otros pueden leer {count} entradas: {names} | outros podem ler {count} entradas: {names} | d'autres peuvent lire {count} entrées : {names}
    key-file.ok | only this user reads the key file | solo este usuario lee el archivo de clave | só este usuário lê o arquivo de chave | seul cet utilisateur lit le fichier de clé
    key-file.open | others may read the key file {path} | otros pueden leer el archivo de clave {path} | outros podem ler o arquivo de chave {path} | d'autres peuvent lire le fichier de clé {path}
    key-file.missing | the key file {path} is not there | falta el archivo de clave {path} | falta o arquivo de chave {path} | le fichier de clé {path} manque
    keys.ok | the keystore opens | el almacén de claves se abre | o cofre de chaves abre | le trousseau s'ouvre
    disk.ok | {free} MiB free | {free} MiB libres | {free} MiB livres | {free} Mio libres
    disk.low | only {free} MiB free | solo {free} MiB libres | só {free} MiB livres | seulement {free} Mio libres
    disk.inodes | only {count} more files fit | solo caben {count} archivos más | só cabem mais {count} arquivos | il ne reste de place que pour {count} fichiers
    disk.read-only | the home can't be written to | no se puede escribir en la carpeta | não se pode escrever na pasta | le dossier n'est pas accessible en écriture
    database.ok | whole, {mib} MiB, schema {step} | íntegra, {mib} MiB, esquema {step} | íntegro, {mib} MiB, esquema {step} | intacte, {mib} Mio, schéma {step}
    database.part | {mib} MiB, schema {step}; too large to look at all of it now | {mib} MiB, esquema {step}; demasiado grande para revisarla entera | {mib} MiB, esquema {step}; grande demais para ver tudo agora | {mib} Mio, schéma {step} ; trop grande pour tout vérifier
    database.damaged | the file is damaged | el archivo está dañado | o arquivo está danificado | le fichier est endommagé
    database.older | schema {step}, this program's is {newest} | esquema {step}, el del programa es {newest} | esquema {step}, o do programa é {newest} | schéma {step}, celui du programme est {newest}
    database.newer | schema {step} is of a newer program | el esquema {step} es de un programa más nuevo | o esquema {step} é de um programa mais novo | le schéma {step} est d'un programme plus récent
    database.missing | there is none yet | aún no existe | ainda não existe | il n'y en a pas encore
    database.log | its log has {mib} MiB: something keeps it from being folded | su registro tiene {mib} MiB: algo impide plegarlo | o seu registro tem {mib} MiB: algo impede dobrá-lo | son journal fait {mib} Mio : quelque chose empêche de le replier
    server.ok | runs | está en marcha | está em execução | en marche
    server.off | does not run: mail waits | no está en marcha: el correo espera | não está em execução: o correio espera | à l'arrêt : le courrier attend
    server.stale | does not run, and left its socket when it was killed | no está en marcha; al ser interrumpido dejó su socket | não está em execução; ao ser morto deixou o socket | à l'arrêt ; tué, il a laissé son socket
    server.owned | a process owns the home and does not answer | un proceso tiene la carpeta y no responde | um processo detém a pasta e não responde | un processus tient le dossier et ne répond pas
    server.mute | process {pid} owns the home and does not answer | el proceso {pid} tiene la carpeta y no responde | o processo {pid} detém a pasta e não responde | le processus {pid} tient le dossier et ne répond pas
    link.socket | connected | conectado | conectado | connecté
    link.poll | long poll only, by config.toml: news comes a little later | solo sondeo largo, según config.toml: todo llega algo más tarde | só sondagem longa, por config.toml: tudo chega um pouco depois | interrogation longue seulement, selon config.toml : tout arrive un peu plus tard
    link.killed | connected by long poll: something on the way kills WebSockets, which are tried again within the hour | conectado por sondeo largo: algo en el camino corta los WebSockets; se intentan de nuevo en menos de una hora | conectado por sondagem longa: algo no caminho corta os WebSockets; tenta-se de novo em menos de uma hora | connecté par interrogation longue : quelque chose en chemin coupe les WebSockets ; nouvel essai d'ici une heure
    link.down | the server is not connected: {problem} | el servidor no está conectado: {problem} | o servidor não está conectado: {problem} | le serveur n'est pas connecté : {problem}
    door.ok | {url} | {url} | {url} | {url}
    door.address | {host}, port {port} can't be taken: {why} | no se puede tomar {host}, puerto {port}: {why} | não se pode tomar {host}, porta {port}: {why} | {host}, port {port} ne peut être pris : {why}
    door.right | {host}, port {port}: this user may not take it, perhaps the server may | {host}, puerto {port}: este usuario no puede tomarlo, quizá el servidor sí | {host}, porta {port}: este usuário não pode tomá-la, talvez o servidor possa | {host}, port {port} : cet utilisateur ne peut le prendre, peut-être le serveur
    door.shut | config.toml opens it, and the server that runs has it closed | config.toml la abre, y el servidor en marcha la tiene cerrada | config.toml a abre, e o servidor em execução a tem fechada | config.toml l'ouvre, et le serveur en marche la tient fermée
    door.other | open at {url}, while config.toml says {wanted} | abierta en {url}, mientras config.toml dice {wanted} | aberta em {url}, enquanto config.toml diz {wanted} | ouverte à {url}, alors que config.toml dit {wanted}
    door-tls.ok | the certificate holds, for {days} days more | el certificado es válido, {days} días más | o certificado vale por mais {days} dias | le certificat tient, encore {days} jours
    door-tls.soon | the certificate {path} ends in {days} days | el certificado {path} vence en {days} días | o certificado {path} vence em {days} dias | le certificat {path} expire dans {days} jours
    door-tls.expired | the certificate {path} has expired | el certificado {path} ha vencido | o certificado {path} venceu | le certificat {path} a expiré
    door-tls.not-yet | the certificate {path} is not valid yet, by this clock | según este reloj el certificado {path} aún no es válido | por este relógio o certificado {path} ainda não vale | selon cette horloge le certificat {path} n'est pas encore valable
    door-tls.file | the server can't use {detail} [{code}] | el servidor no puede usar {detail} [{code}] | o servidor não pode usar {detail} [{code}] | le serveur ne peut pas employer {detail} [{code}]
    hub-tls.ok | the certificate holds, for {days} days more | el certificado es válido, {days} días más | o certificado vale por mais {days} dias | le certificat tient, encore {days} jours
    hub-tls.soon | the certificate {path} ends in {days} days | el certificado {path} vence en {days} días | o certificado {path} vence em {days} dias | le certificat {path} expire dans {days} jours
    hub-tls.expired | the certificate {path} has expired | el certificado {path} ha vencido | o certificado {path} venceu | le certificat {path} a expiré
    hub-tls.not-yet | the certificate {path} is not valid yet, by this clock | según este reloj el certificado {path} aún no es válido | por este relógio o certificado {path} ainda não vale | selon cette horloge le certificat {path} n'est pas encore valable
    hub-tls.file | the server can't use {detail} [{code}] | el servidor no puede usar {detail} [{code}] | o servidor não pode usar {detail} [{code}] | le serveur ne peut pas employer {detail} [{code}]
    network.none | not joined | aún no se ha unido | ainda não se juntou | pas encore rejoint
    dns.ok | {host} is {address} | {host} es {address} | {host} é {address} | {host} est {address}
    dns.fail | no address is found for {host} | no se encuentra dirección para {host} | não há endereço para {host} | aucune adresse pour {host}
    tcp.ok | {host}:{port} takes connections | {host}:{port} acepta conexiones | {host}:{port} aceita conexões | {host}:{port} accepte les connexions
    tcp.fail | {host}:{port} takes no connection: {why} | {host}:{port} no acepta conexión: {why} | {host}:{port} não aceita conexão: {why} | {host}:{port} refuse la connexion : {why}
    proxy.ok | the proxy lets through to {host}:{port} | el proxy deja pasar hasta {host}:{port} | o proxy deixa passar até {host}:{port} | le mandataire laisse passer vers {host}:{port}
    proxy.login | the proxy refuses the login (407) | el proxy rechaza las credenciales (407) | o proxy recusa o login (407) | le mandataire refuse l'identifiant (407)
    proxy.refused | the proxy won't connect to {host}:{port}: {status} | el proxy no conecta con {host}:{port}: {status} | o proxy não conecta a {host}:{port}: {status} | le mandataire refuse {host}:{port} : {status}
    tls.ok | the certificate holds, for {days} days more | el certificado es válido, {days} días más | o certificado vale por mais {days} dias | le certificat tient, encore {days} jours
    tls.soon | the certificate ends in {days} days | el certificado vence en {days} días | o certificado vence em {days} dias | le certificat expire dans {days} jours
    tls.expired | the certificate has expired | el certificado ha vencido | o certificado venceu | le certificat a expiré
    tls.not-yet | the certificate is not valid yet, by this clock | según este reloj el certificado aún no es válido | por este relógio o certificado ainda não vale | selon cette horloge le certificat n'est pas encore valable
    tls.name | the certificate is not for {host} | el certificado no es para {host} | o certificado não é para {host} | le certificat n'est pas pour {host}
    tls.issuer | another authority signed the certificate {print} | otra autoridad firmó el certificado {print} | outra autoridade assinou o certificado {print} | une autre autorité a signé le certificat {print}
    tls.mute | {host} takes connections and says nothing | {host} acepta conexiones y no responde | {host} aceita conexões e não responde | {host} accepte les connexions et ne répond pas
    tls.broken | no TLS there: {why} | ahí no hay TLS: {why} | não há TLS ali: {why} | pas de TLS ici : {why}
    hub.ok | answers, and knows this node's key | responde y conoce la clave de este nodo | responde e conhece a chave deste nó | répond et connaît la clé de ce nœud
    hub.takes-mail | takes mail | acepta correo | aceita correio | accepte le courrier
    hub.read-only | takes mail; the log is read-only until members were heard | acepta correo; el registro espera oír a los miembros | aceita correio; o log espera ouvir os membros | accepte le courrier ; le journal attend d'entendre les membres
    hub.unknown-key | does not know this node's key | no conoce la clave de este nodo | não conhece a chave deste nó | ne connaît pas la clé de ce nœud
    clock.ok | {offset} s off the hub's | a {offset} s del hub | a {offset} s do hub | à {offset} s du hub
    clock.off | {offset} s off the hub's clock | {offset} s de diferencia con el reloj del hub | {offset} s de diferença do relógio do hub | {offset} s d'écart avec l'horloge du hub
    clock.back | behind what was already seen here: {at} | anterior a lo ya visto aquí: {at} | anterior ao que já se viu aqui: {at} | en retard sur ce qui a déjà été vu ici : {at}
    clock.forward | not behind what was seen here | no va por detrás de lo visto aquí | não está atrás do que se viu aqui | pas en retard sur ce qui a été vu ici
    anchor.ok | confirmed by voice | confirmado de viva voz | confirmada de viva voz | confirmée de vive voix
    anchor.open | unconfirmed: nothing above TLP:GREEN goes out | sin confirmar: nada por encima de TLP:GREEN sale | não confirmada: nada acima de TLP:GREEN sai | non confirmée : rien au-dessus de TLP:GREEN ne part
    standing.ok | {status} | {status} | {status} | {status}
    standing.none | not admitted yet | aún no admitido | ainda não admitido | pas encore admis
    directory.ok | {size} entries as of {at} | {size} entradas, al {at} | {size} entradas, em {at} | {size} entrées au {at}
    directory.none | empty | vacío | vazio | vide
    directory.stale | {size} entries as of {at}: older than 24 h, no new keys are taken | {size} entradas, al {at}: más de 24 h, no se toman claves nuevas | {size} entradas, em {at}: mais de 24 h, não se tomam chaves novas | {size} entrées au {at} : plus de 24 h, aucune nouvelle clé n'est prise
    directory.limited | has a statement that this version does not know | tiene una declaración que esta versión no conoce | tem uma declaração que esta versão não conhece | contient une déclaration inconnue de cette version
    prekeys.ok | published for {days} days more | publicadas para {days} días más | publicadas por mais {days} dias | publiées pour encore {days} jours
    prekeys.low | published for only {days} days more | publicadas solo para {days} días más | publicadas só por mais {days} dias | publiées seulement pour encore {days} jours
    prekeys.none | none in use: nobody can write to this node | ninguna en uso: nadie puede escribir a este nodo | nenhuma em uso: ninguém pode escrever a este nó | aucune en usage : personne ne peut écrire à ce nœud
    backup.ok | the newest is of {at} | la última es del {at} | a última é de {at} | la plus récente est du {at}
    backup.none | none was made | no se ha hecho ninguna | nenhum foi feito | aucune n'a été faite
    backup.old | the newest is {days} days old | la última tiene {days} días | a última tem {days} dias | la plus récente a {days} jours
    hook.ok | calls people over: {names} | llama por: {names} | chama por: {names} | appelle par : {names}
    hook.none | none is set: nobody is called when flash waits | no hay: nadie recibe aviso si espera un flash | não há: ninguém é chamado se um flash espera | aucune : personne n'est appelé si un flash attend
    hook.broken | {way} can't go out: {detail} [{code}] | {way} no puede salir: {detail} [{code}] | {way} não pode sair: {detail} [{code}] | {way} ne peut pas partir : {detail} [{code}]
    hook.failing | did not go out: {names} | no salió: {names} | não saiu: {names} | n'est pas parti : {names}
    hook.unsure | stopped while it ran, and may not have gone out: {names} | se detuvo mientras corría, quizá no salió: {names} | parou enquanto corria, talvez não tenha saído: {names} | arrêté en cours de route, peut-être pas parti : {names}
    queues.ok | nothing is overdue; {count} copies under way | nada atrasado; {count} copias en camino | nada atrasado; {count} cópias a caminho | rien en retard ; {count} copies en route
    queues.overdue | {count} messages are overdue, the oldest of {at} | {count} mensajes atrasados, el más antiguo del {at} | {count} mensagens atrasadas, a mais antiga de {at} | {count} messages en retard, le plus ancien du {at}
    missing.ok | nothing that was sent here | nada de lo enviado aquí | nada do que foi enviado | rien de ce qui a été envoyé ici
    missing.some | asked for in vain for a day: {names} | pedido en vano desde hace un día: {names} | pedido em vão há um dia: {names} | demandé en vain depuis un jour : {names}
    retention.ok | {due} messages go within 30 days, {holds} holds | {due} mensajes se borran en 30 días, {holds} retenciones | {due} mensagens saem em 30 dias, {holds} retenções | {due} messages partent sous 30 jours, {holds} gels
    retention.waits | {due} messages are over their time and still here | {due} mensajes pasaron su plazo y siguen aquí | {due} mensagens passaram do prazo e seguem aqui | {due} messages ont dépassé leur délai et sont encore là
    feeds.ok | {count} are read | se leen {count} | {count} são lidos | {count} sont lus
    feeds.failing | not read: {names} | no se leen: {names} | não são lidos: {names} | non lus : {names}
    alarms.ok | none | ninguna | nenhum | aucune
    alarms.some | {names}; {count} with evidence kept | {names}; {count} con pruebas guardadas | {names}; {count} com provas guardadas | {names} ; {count} avec preuves conservées
    aside.ok | nothing | nada | nada | rien
    aside.some | {names} | {names} | {names} | {names}
    log.fresh | {size} entries, signed {minutes} min ago | {size} entradas, firmadas hace {minutes} min | {size} entradas, assinadas há {minutes} min | {size} entrées, signées il y a {minutes} min
    log.old | {size} entries, last signed {at} | {size} entradas, firmadas por última vez el {at} | {size} entradas, assinadas por último em {at} | {size} entrées, signées pour la dernière fois le {at}
    log.none | the network has not begun | la red no ha comenzado | a rede não começou | le réseau n'a pas commencé
    mail.waits | {count} envelopes wait for their recipients, {mib} MiB | {count} sobres esperan a sus destinatarios, {mib} MiB | {count} envelopes esperam os destinatários, {mib} MiB | {count} enveloppes attendent leurs destinataires, {mib} Mio
    attachments.kept | {count} sealed attachments, {mib} MiB; no backup has them | {count} adjuntos sellados, {mib} MiB; no están en las copias | {count} anexos selados, {mib} MiB; não estão nos backups | {count} pièces jointes scellées, {mib} Mio ; absentes des sauvegardes
    """  # noqa: E501 - a row of a table is one line
)

FIXES: Final[Phrases] = table(
    """
    late | look at what that needs: the disk, the line, the firewall | revise lo que necesita: el disco, la línea, el cortafuegos | veja o que isso precisa: o disco, a linha, o firewall | voyez ce qu'il lui faut : disque, ligne, pare-feu
    modes.open | chmod -R go= {path} | chmod -R go= {path} | chmod -R go= {path} | chmod -R go= {path}
    key-file.open | chmod go= {path} | chmod go= {path} | chmod go= {path} | chmod go= {path}
    key-file.missing | bring it back from its copy, or name it: --key-file FILE | recupérelo de su copia, o indíquelo: --key-file FILE | recupere-o da cópia, ou indique-o: --key-file FILE | reprenez-le de sa copie, ou nommez-le : --key-file FILE
    disk.low | free space: a full disk stops mail | libere espacio: un disco lleno detiene el correo | libere espaço: um disco cheio para o correio | libérez de la place : un disque plein arrête le courrier
    disk.inodes | remove files on that disk | borre archivos de ese disco | apague arquivos desse disco | supprimez des fichiers sur ce disque
    disk.read-only | mount it for writing, or give this user the right: ls -ld {path} | móntelo con escritura o dé permiso a este usuario: ls -ld {path} | monte-o com escrita ou dê direito a este usuário: ls -ld {path} | montez-le en écriture, ou donnez-en le droit : ls -ld {path}
    database.damaged | exchange {role} restore FILE | exchange {role} restore FILE | exchange {role} restore FILE | exchange {role} restore FILE
    database.older | exchange {role} serve upgrades it | exchange {role} serve la actualiza | exchange {role} serve o atualiza | exchange {role} serve la met à jour
    database.newer | install the newer version of this program again | instale de nuevo la versión más nueva del programa | instale de novo a versão mais nova do programa | réinstallez la version plus récente du programme
    database.missing | exchange {role} init; if there was one: exchange {role} restore FILE | exchange {role} init; si la había: exchange {role} restore FILE | exchange {role} init; se havia uma: exchange {role} restore FILE | exchange {role} init ; s'il y en avait une : exchange {role} restore FILE
    database.log | stop what reads it for long, or restart the server | detenga lo que la lee mucho tiempo, o reinicie el servidor | pare o que a lê por muito tempo, ou reinicie o servidor | arrêtez ce qui la lit longtemps, ou redémarrez le serveur
    server.off | exchange {role} serve, as a service of the machine | exchange {role} serve, como servicio de la máquina | exchange {role} serve, como serviço da máquina | exchange {role} serve, en service de la machine
    server.stale | exchange {role} serve, as a service of the machine | exchange {role} serve, como servicio de la máquina | exchange {role} serve, como serviço da máquina | exchange {role} serve, en service de la machine
    server.owned | look at its log; then stop its service or its container | vea su registro; después detenga su servicio o su contenedor | veja o seu log; depois pare o seu serviço ou contêiner | voyez son journal ; puis arrêtez son service ou son conteneur
    server.mute | look at its log; then stop it: kill {pid} | vea su registro; después deténgalo: kill {pid} | veja o seu log; depois pare-o: kill {pid} | voyez son journal ; puis arrêtez-le : kill {pid}
    link.down | see hub, tls and tcp here | vea aquí hub, tls y tcp | veja aqui hub, tls e tcp | voyez ici hub, tls et tcp
    link.killed | let WebSockets to the hub through the proxy or firewall | deje pasar los WebSockets hacia el hub en el proxy o cortafuegos | deixe passar os WebSockets para o hub no proxy ou firewall | laissez passer les WebSockets vers le hub dans le mandataire ou pare-feu
    link.poll | websocket = true in config.toml, where the proxy lets it | websocket = true en config.toml, si el proxy lo permite | websocket = true em config.toml, se o proxy deixar | websocket = true dans config.toml, si le mandataire le permet
    door.address | it must be an address of this machine, and free; ss -ltnp shows who has it; else correct host or port in config.toml, table [http] | debe ser una dirección de esta máquina y estar libre; ss -ltnp muestra quién la tiene; si no, corrija host o port en config.toml, tabla [http] | deve ser um endereço desta máquina e estar livre; ss -ltnp mostra quem o tem; senão, corrija host ou port em config.toml, tabela [http] | ce doit être une adresse de cette machine, et libre ; ss -ltnp montre qui la tient ; sinon corrigez host ou port dans config.toml, table [http]
    door.right | give the service CAP_NET_BIND_SERVICE, or choose a port above 1023 in config.toml, table [http] | dé al servicio CAP_NET_BIND_SERVICE, o elija un puerto mayor que 1023 en config.toml, tabla [http] | dê ao serviço CAP_NET_BIND_SERVICE, ou escolha uma porta acima de 1023 em config.toml, tabela [http] | donnez CAP_NET_BIND_SERVICE au service, ou choisissez un port au-dessus de 1023 dans config.toml, table [http]
    door.shut | restart the server: it reads config.toml when it starts | reinicie el servidor: lee config.toml al arrancar | reinicie o servidor: ele lê config.toml ao iniciar | redémarrez le serveur : il lit config.toml au démarrage
    door.other | restart the server: it reads config.toml when it starts | reinicie el servidor: lee config.toml al arrancar | reinicie o servidor: ele lê config.toml ao iniciar | redémarrez le serveur : il lit config.toml au démarrage
    door-tls.soon | put a renewed one and its key in place: a running server takes them by itself | ponga en su lugar uno renovado y su clave: el servidor en marcha los toma solo | ponha no lugar um renovado e a sua chave: o servidor em execução os toma sozinho | mettez-en place un renouvelé et sa clé : un serveur en marche les prend de lui-même
    door-tls.expired | put a renewed one and its key in place: a running server takes them by itself | ponga en su lugar uno renovado y su clave: el servidor en marcha los toma solo | ponha no lugar um renovado e a sua chave: o servidor em execução os toma sozinho | mettez-en place un renouvelé et sa clé : un serveur en marche les prend de lui-même
    door-tls.not-yet | set this machine's clock, e.g. with NTP | ponga en hora esta máquina, p. ej. con NTP | acerte o relógio desta máquina, p. ex. com NTP | mettez cette machine à l'heure, par ex. avec NTP
    door-tls.file | put the file in its place, or name another in config.toml, table [http]; then: exchange {role} serve | ponga el archivo en su lugar, o indique otro en config.toml, tabla [http]; luego: exchange {role} serve | ponha o arquivo no seu lugar, ou indique outro em config.toml, tabela [http]; depois: exchange {role} serve | mettez le fichier à sa place, ou nommez-en un autre dans config.toml, table [http] ; puis : exchange {role} serve
    hub-tls.soon | put a renewed one and its key in place: a running hub takes them within a day | ponga en su lugar uno renovado y su clave: el hub en marcha los toma en el plazo de un día | ponha no lugar um renovado e a sua chave: o hub em execução os toma no prazo de um dia | mettez-en place un renouvelé et sa clé : un hub en marche les prend sous un jour
    hub-tls.expired | put a renewed one and its key in place: a running hub takes them within a day | ponga en su lugar uno renovado y su clave: el hub en marcha los toma en el plazo de un día | ponha no lugar um renovado e a sua chave: o hub em execução os toma no prazo de um dia | mettez-en place un renouvelé et sa clé : un hub en marche les prend sous un jour
    hub-tls.not-yet | set this machine's clock, e.g. with NTP | ponga en hora esta máquina, p. ej. con NTP | acerte o relógio desta máquina, p. ex. com NTP | mettez cette machine à l'heure, par ex. avec NTP
    hub-tls.file | put the file in its place, or name another in config.toml; then: exchange {role} serve | ponga el archivo en su lugar, o indique otro en config.toml; luego: exchange {role} serve | ponha o arquivo no seu lugar, ou indique outro em config.toml; depois: exchange {role} serve | mettez le fichier à sa place, ou nommez-en un autre dans config.toml ; puis : exchange {role} serve
    network.none | exchange {role} join INVITATION | exchange {role} join INVITATION | exchange {role} join INVITATION | exchange {role} join INVITATION
    dns.fail | check the name in config.toml, and this machine's resolver: getent hosts {host} | revise el nombre en config.toml y el DNS: getent hosts {host} | confira o nome em config.toml e o DNS: getent hosts {host} | vérifiez le nom dans config.toml et le DNS : getent hosts {host}
    tcp.fail | open {host}:{port} in the firewall; is the other side up? | abra {host}:{port} en el cortafuegos; ¿está activo el otro lado? | abra {host}:{port} no firewall; o outro lado está no ar? | ouvrez {host}:{port} au pare-feu ; l'autre côté est-il en marche ?
    proxy.login | put user:password into the file that proxy_login names | ponga usuario:contraseña en el archivo de proxy_login | ponha usuário:senha no arquivo de proxy_login | mettez utilisateur:motdepasse dans le fichier de proxy_login
    proxy.refused | ask its administrator to allow CONNECT to {host}:{port} | pida a su administrador permitir CONNECT a {host}:{port} | peça ao administrador para permitir CONNECT a {host}:{port} | demandez à son administrateur d'autoriser CONNECT vers {host}:{port}
    tls.soon | the hub's administrator renews it | el administrador del hub lo renueva | o administrador do hub o renova | l'administrateur du hub le renouvelle
    tls.expired | the hub's administrator renews it; check this clock too: date -u | el administrador del hub lo renueva; revise este reloj: date -u | o administrador do hub o renova; confira este relógio: date -u | l'administrateur du hub le renouvelle ; vérifiez cette horloge : date -u
    tls.not-yet | set this machine's clock, e.g. with NTP | ponga en hora esta máquina, p. ej. con NTP | acerte o relógio desta máquina, p. ex. com NTP | mettez cette machine à l'heure, par ex. avec NTP
    tls.name | use the name that the invitation has | use el nombre de la invitación | use o nome do convite | employez le nom de l'invitation
    tls.issuer | if a proxy here inspects TLS, put its CA's file into extra_ca of config.toml; else ask the hub's administrator, by telephone | si un proxy inspecciona TLS, ponga su CA en extra_ca de config.toml; si no, llame al administrador del hub | se um proxy inspeciona TLS, ponha a sua CA em extra_ca de config.toml; senão, ligue ao administrador do hub | si un mandataire inspecte TLS, mettez sa CA dans extra_ca de config.toml ; sinon téléphonez à l'administrateur du hub
    tls.mute | look again in a minute; then the hub's administrator: its server hangs, or a firewall swallows what follows | revise en un minuto; luego el administrador del hub: su servidor no avanza, o un cortafuegos se traga lo que sigue | veja de novo em um minuto; depois o administrador do hub: o seu servidor travou, ou um firewall engole o que segue | regardez encore dans une minute ; puis l'administrateur du hub : son serveur est bloqué, ou un pare-feu avale la suite
    tls.broken | another program answers there: check hub in config.toml | ahí responde otro programa: revise hub en config.toml | outro programa responde ali: confira hub em config.toml | un autre programme y répond : vérifiez hub dans config.toml
    hub.read-only | wait until the members' nodes have come: exchange hub members | espere a que lleguen los nodos: exchange hub members | espere que os nós cheguem: exchange hub members | attendez que les nœuds soient venus : exchange hub members
    hub.unknown-key | not approved yet, or the key was revoked: exchange node status | aún no aprobado, o clave revocada: exchange node status | ainda não aprovado, ou chave revogada: exchange node status | pas encore approuvé, ou clé révoquée : exchange node status
    clock.off | set this machine's clock, e.g. with NTP | ponga en hora esta máquina, p. ej. con NTP | acerte o relógio desta máquina, p. ex. com NTP | mettez cette machine à l'heure, par ex. avec NTP
    clock.back | set this machine's clock, e.g. with NTP | ponga en hora esta máquina, p. ej. con NTP | acerte o relógio desta máquina, p. ex. com NTP | mettez cette machine à l'heure, par ex. avec NTP
    anchor.open | hear the network's digits, then: exchange node confirm-anchor DIGITS | escuche los dígitos de la red, luego: exchange node confirm-anchor DIGITS | ouça os dígitos da rede, depois: exchange node confirm-anchor DIGITS | écoutez les chiffres du réseau, puis : exchange node confirm-anchor DIGITS
    standing.ok | exchange node status says what to do | exchange node status dice qué hacer | exchange node status diz o que fazer | exchange node status dit quoi faire
    standing.none | wait for sponsors and officers: exchange node status | espere a avales y oficiales: exchange node status | espere avalistas e oficiais: exchange node status | attendez parrains et officiers : exchange node status
    directory.none | exchange node serve, with the hub in reach | exchange node serve, con el hub al alcance | exchange node serve, com o hub ao alcance | exchange node serve, le hub étant joignable
    directory.stale | see hub here; the phone numbers in it still hold | vea aquí hub; los teléfonos siguen valiendo | veja aqui hub; os telefones seguem valendo | voyez ici hub ; les téléphones y restent valables
    directory.limited | install the newer version of this program | instale la versión más nueva del programa | instale a versão mais nova do programa | installez la version plus récente du programme
    prekeys.low | exchange node serve, with the hub in reach | exchange node serve, con el hub al alcance | exchange node serve, com o hub ao alcance | exchange node serve, le hub étant joignable
    prekeys.none | exchange node serve, with the hub in reach | exchange node serve, con el hub al alcance | exchange node serve, com o hub ao alcance | exchange node serve, le hub étant joignable
    backup.none | exchange {role} backup FILE | exchange {role} backup FILE | exchange {role} backup FILE | exchange {role} backup FILE
    backup.old | exchange {role} backup FILE | exchange {role} backup FILE | exchange {role} backup FILE | exchange {role} backup FILE
    hook.none | name a way in config.toml, table [alarm]: docs/cli.md | indique una vía en config.toml, tabla [alarm]: docs/cli.md | indique um meio em config.toml, tabela [alarm]: docs/cli.md | nommez un moyen dans config.toml, table [alarm] : docs/cli.md
    hook.broken | mend what it names, or correct config.toml, table [alarm]; then: exchange {role} alarm test | arregle lo que nombra, o corrija config.toml, tabla [alarm]; luego: exchange {role} alarm test | conserte o que ele nomeia, ou corrija config.toml, tabela [alarm]; depois: exchange {role} alarm test | réparez ce qu'il nomme, ou corrigez config.toml, table [alarm] ; puis : exchange {role} alarm test
    hook.failing | exchange {role} alarm test | exchange {role} alarm test | exchange {role} alarm test | exchange {role} alarm test
    hook.unsure | exchange {role} alarm test | exchange {role} alarm test | exchange {role} alarm test | exchange {role} alarm test
    queues.overdue | exchange node outbox --overdue; telephone them | exchange node outbox --overdue; llámelos | exchange node outbox --overdue; ligue para eles | exchange node outbox --overdue ; téléphonez-leur
    missing.some | telephone them: their node doesn't answer for it | llámelos: su nodo no responde por ello | ligue para eles: o nó deles não responde por isso | téléphonez-leur : leur nœud n'en répond pas
    retention.waits | exchange node serve erases them; a hold shows in: exchange node retention show | exchange node serve los borra; retenciones: exchange node retention show | exchange node serve as apaga; retenções: exchange node retention show | exchange node serve les efface ; gels : exchange node retention show
    feeds.failing | exchange node feed list says which; docs/feeds.md what to do | exchange node feed list dice cuáles; docs/feeds.md qué hacer | exchange node feed list diz quais; docs/feeds.md o que fazer | exchange node feed list dit lesquels ; docs/feeds.md quoi faire
    alarms.some | exchange node status says what each means | exchange node status dice qué significa cada una | exchange node status diz o que cada um significa | exchange node status dit ce que chacune signifie
    aside.some | exchange node quarantine | exchange node quarantine | exchange node quarantine | exchange node quarantine
    log.old | exchange hub serve | exchange hub serve | exchange hub serve | exchange hub serve
    log.none | exchange hub init --genesis FILE, with the officers' signatures | exchange hub init --genesis FILE, con las firmas de los oficiales | exchange hub init --genesis FILE, com as assinaturas dos oficiais | exchange hub init --genesis FILE, avec les signatures des officiers
    """  # noqa: E501 - a row of a table is one line
)
