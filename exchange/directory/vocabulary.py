"""The words of the directory: functions, topics, communities, instruments, neighbours (docs/directory.md).

Owns the lists that people choose from and the ladder of fall-backs. A reader takes any word of the right form: a later
version may know more of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CSIRT: Final = "csirt"
COMMUNITIES: Final = (CSIRT, "diplomacy", "government", "judiciary", "police", "prosecution")

# function -> the community it is at home in where no contact says otherwise
FUNCTIONS: Final[Mapping[str, str]] = {
    "npc": "government",
    "spoc": CSIRT,
    "technical_24x7": CSIRT,
    "technical_office": CSIRT,
    "cyber_policy": "diplomacy",
    "foreign_affairs": "diplomacy",
    "central_authority_mla": "judiciary",
    "operational_tracing": "police",
    "law_enforcement_24x7": "police",
    "prosecution": "prosecution",
    "major_events": CSIRT,
    "vulnerability_coord": CSIRT,
    "press": CSIRT,
    "liaison": CSIRT,
    "node_admin": CSIRT,
    "security_officer": CSIRT,
}
MLA: Final = "central_authority_mla"
NEEDS_INSTRUMENT: Final = frozenset({MLA, "operational_tracing"})
SPOC: Final = "spoc"
# about the organisation, not about a case: turned to only by who asks for them
INWARD: Final = frozenset({"node_admin", "press", "security_officer"})

TOPICS: Final = (
    "ransomware",
    "phishing",
    "ddos",
    "data_breach",
    "malware",
    "ics",
    "vulnerability",
    "cybercrime_evidence",
    "cyber_policy",
    "firearms",
    "trafficking_persons",
    "migrant_smuggling",
    "drugs",
    "money_laundering",
    "asset_recovery",
    "corruption",
    "cultural_property",
    "terrorism",
    "maritime",
    "piracy",
    "wildlife",
    "major_events",
    "disaster",
    "prisons",
    "organised_crime",
    "training",
)

# word in the log -> what people call it; an instrument is never translated
INSTRUMENTS: Final[Mapping[str, str]] = {
    "budapest_art27": "Budapest Convention, art. 27",
    "budapest_art35": "Budapest Convention, art. 35 (24/7 network)",
    "cifta": "CIFTA",
    "nassau": "Inter-American Convention on Mutual Assistance in Criminal Matters (Nassau)",
    "uncac": "UN Convention against Corruption",
    "uncc": "UN Convention against Cybercrime",
    "untoc_art18": "UNTOC, art. 18",
    "unsgm_1540": "UN Security Council resolution 1540",
}

LANGUAGE_LEVELS: Final = ("works", "reads")  # from more to less
EMERGENCY_CHANNELS: Final = ("satphone", "sms", "signal", "other")
REQUEST_CHANNELS: Final = ("diplomatic", "direct", "e-mail", "interpol")
PERSON_ROLES: Final = ("primary", "deputy", "other")
AFFILIATIONS: Final = (
    "first",
    "ti_listed",
    "ti_accredited",
    "ti_certified",
    "csirtamericas",
    "eu_csirts",
    "network_24x7",
)
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

# Who is asked when nobody in a country can be reached: by land border, for islands the nearest states. Nothing but a
# suggestion, and by no means a view on any border.
NEIGHBOURS: Final[Mapping[str, tuple[str, ...]]] = {
    country: tuple(neighbours.split())
    for country, neighbours in (
        row.split(":", 1)
        for row in (
            "AG:KN BB DM",
            "AR:CL BO PY BR UY",
            "BB:LC VC GD TT",
            "BO:PE BR PY AR CL",
            "BR:UY AR PY BO PE CO VE GY SR",
            "BS:US CU HT",
            "BZ:MX GT",
            "CA:US",
            "CL:PE BO AR",
            "CO:VE BR PE EC PA",
            "CR:NI PA",
            "CU:US BS JM",
            "DM:LC AG",
            "DO:HT",
            "EC:CO PE",
            "GD:VC TT BB",
            "GT:MX BZ SV HN",
            "GY:SR BR VE TT",
            "HN:GT SV NI",
            "HT:DO",
            "JM:CU HT BS",
            "KN:AG",
            "LC:VC BB DM",
            "MX:US GT BZ",
            "NI:HN CR",
            "PA:CR CO",
            "PE:EC CO BR BO CL",
            "PY:AR BO BR",
            "SR:GY BR TT",
            "SV:GT HN",
            "TT:VE GD BB",
            "US:CA MX",
            "UY:AR BR",
            "VC:LC GD BB",
            "VE:CO BR GY TT",
        )
    )
}
