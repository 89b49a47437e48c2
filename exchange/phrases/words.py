"""The directory's words as people read them: functions, topics, communities, standings, days (docs/directory.md)."""

from __future__ import annotations

from typing import Final

from exchange.phrases.languages import Phrases, table

FUNCTIONS: Final[Phrases] = table(
    """
    npc | national point of contact | punto nacional de contacto | ponto nacional de contato | point de contact national
    spoc | single point of contact | punto único de contacto | ponto único de contato | point de contact unique
    technical_24x7 | technical desk, 24x7 | guardia técnica 24x7 | plantão técnico 24x7 | permanence technique 24h/24
    technical_office | technical desk, office hours | equipo técnico, horario de oficina | equipe técnica, horário comercial | équipe technique, heures de bureau
    cyber_policy | cyber policy | política cibernética | política cibernética | politique cyber
    foreign_affairs | foreign affairs | relaciones exteriores | relações exteriores | affaires étrangères
    central_authority_mla | central authority, legal assistance | autoridad central, asistencia judicial | autoridade central, assistência jurídica | autorité centrale, entraide judiciaire
    operational_tracing | operational contact for tracing | contacto operativo de rastreo | contato operacional de rastreamento | contact opérationnel de traçage
    law_enforcement_24x7 | police, 24x7 | policía 24x7 | polícia 24x7 | police 24h/24
    prosecution | prosecution | fiscalía | ministério público | parquet
    major_events | major events | grandes eventos | grandes eventos | grands événements
    vulnerability_coord | vulnerability coordination | coordinación de vulnerabilidades | coordenação de vulnerabilidades | coordination des vulnérabilités
    press | press | prensa | imprensa | presse
    liaison | liaison | enlace | ligação | liaison
    node_admin | administrator of the node | administración del nodo | administração do nó | administration du nœud
    security_officer | security officer | oficial de seguridad | oficial de segurança | responsable de la sécurité
    """  # noqa: E501 - a row of a table is one line
)

TOPICS: Final[Phrases] = table(
    """
    ransomware | ransomware | ransomware | ransomware | rançongiciels
    phishing | phishing | phishing | phishing | hameçonnage
    ddos | denial of service | denegación de servicio | negação de serviço | déni de service
    data_breach | data breaches | filtración de datos | vazamento de dados | fuites de données
    malware | malware | programas maliciosos | programas maliciosos | logiciels malveillants
    ics | industrial control systems | sistemas de control industrial | sistemas de controle industrial | systèmes de contrôle industriel
    vulnerability | vulnerabilities | vulnerabilidades | vulnerabilidades | vulnérabilités
    cybercrime_evidence | electronic evidence | prueba electrónica | prova eletrônica | preuve électronique
    cyber_policy | cyber policy | política cibernética | política cibernética | politique cyber
    firearms | firearms | armas de fuego | armas de fogo | armes à feu
    trafficking_persons | trafficking in persons | trata de personas | tráfico de pessoas | traite des personnes
    migrant_smuggling | smuggling of migrants | tráfico de migrantes | contrabando de migrantes | trafic de migrants
    drugs | drugs | drogas | drogas | stupéfiants
    money_laundering | money laundering | lavado de activos | lavagem de dinheiro | blanchiment
    asset_recovery | asset recovery | recuperación de activos | recuperação de ativos | recouvrement d'avoirs
    corruption | corruption | corrupción | corrupção | corruption
    cultural_property | cultural property | bienes culturales | bens culturais | biens culturels
    terrorism | terrorism | terrorismo | terrorismo | terrorisme
    maritime | maritime security | seguridad marítima | segurança marítima | sûreté maritime
    piracy | piracy | piratería | pirataria | piraterie
    wildlife | wildlife crime | delitos contra la vida silvestre | crimes contra a vida silvestre | atteintes aux espèces sauvages
    major_events | major events | grandes eventos | grandes eventos | grands événements
    disaster | disasters | desastres | desastres | catastrophes
    prisons | prisons | prisiones | prisões | prisons
    organised_crime | organised crime | delincuencia organizada | crime organizado | criminalité organisée
    training | training | formación | formação | formation
    """  # noqa: E501 - a row of a table is one line
)

COMMUNITIES: Final[Phrases] = table(
    """
    csirt | CSIRT | CSIRT | CSIRT | CSIRT
    diplomacy | diplomacy | diplomacia | diplomacia | diplomatie
    government | government | gobierno | governo | gouvernement
    judiciary | judiciary | poder judicial | judiciário | justice
    police | police | policía | polícia | police
    prosecution | prosecution | fiscalía | ministério público | parquet
    """
)

STANDINGS: Final[Phrases] = table(
    """
    validated | validated | validado | validado | validé
    due | due for validation | por validar | a validar | à valider
    overdue | overdue | vencido | vencido | en retard
    lapsed | lapsed | caducado | caducado | caduc
    archived | archived | archivado | arquivado | archivé
    ended | vacant | vacante | vago | vacant
    """
)

LEVELS: Final[Phrases] = table(
    """
    works | works in | trabaja en | trabalha em | travaille en
    reads | reads | lee | lê | lit
    """
)

DAYS: Final[Phrases] = table(
    """
    mon | Mon | lun | seg | lun
    tue | Tue | mar | ter | mar
    wed | Wed | mié | qua | mer
    thu | Thu | jue | qui | jeu
    fri | Fri | vie | sex | ven
    sat | Sat | sáb | sáb | sam
    sun | Sun | dom | dom | dim
    """
)
