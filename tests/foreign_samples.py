"""Files of other formats, written for the tests: every address and name in them is reserved for documentation."""

from __future__ import annotations

from typing import Any

import orjson


def advisory(**members: Any) -> dict[str, Any]:
    """A CSAF 2.0 advisory with one of each thing that is read; `members` replace those of the whole document."""
    value: dict[str, Any] = {
        "document": {
            "category": "csaf_security_advisory",
            "csaf_version": "2.0",
            "title": "Flaw in Widget",
            "lang": "en",
            "distribution": {"text": "Free", "tlp": {"label": "WHITE", "url": "https://www.first.org/tlp/"}},
            "aggregate_severity": {"text": "high"},
            "acknowledgments": [{"names": ["A Finder"]}],
            "notes": [
                {"category": "summary", "text": "Widget can be read by anybody."},
                {"category": "legal_disclaimer", "title": "Terms", "text": "As it is.", "audience": "all"},
            ],
            "publisher": {
                "category": "vendor",
                "name": "Example PSIRT",
                "namespace": "https://psirt.example.com",
                "contact_details": "psirt@example.com",
            },
            "references": [
                {"category": "self", "summary": "This one", "url": "https://psirt.example.com/2026-1"},
                {"summary": "No link", "url": "not a url"},
            ],
            "tracking": {
                "id": "EX-2026-1",
                "aliases": ["OTHER-7"],
                "status": "final",
                "version": "2",
                "initial_release_date": "2026-01-02T10:00:00.000Z",
                "current_release_date": "2026-01-05T10:00:00.250-05:00",
                "revision_history": [
                    {"number": "1", "date": "2026-01-02T10:00:00Z", "summary": "first"},
                    {"number": "2", "date": "2026-01-05T15:00:00Z", "summary": "a fix"},
                ],
                "generator": {"engine": {"name": "hand"}},
            },
        },
        "product_tree": {
            "branches": [
                {
                    "category": "vendor",
                    "name": "Example",
                    "branches": [
                        {
                            "category": "product_name",
                            "name": "Widget",
                            "branches": [_version("P1", "1.0"), _version("P2", "2.0")],
                        }
                    ],
                }
            ],
            "full_product_names": [{"product_id": "P3", "name": "Case"}],
            "relationships": [
                {
                    "category": "installed_on",
                    "product_reference": "P1",
                    "relates_to_product_reference": "P3",
                    "full_product_name": {"product_id": "P4", "name": "Widget 1.0 in a Case"},
                }
            ],
            "product_groups": [{"group_id": "G1", "product_ids": ["P1", "P3"]}],
        },
        "vulnerabilities": [
            {
                "cve": "CVE-2026-12345",
                "title": "Open door",
                "cwe": {"id": "CWE-306", "name": "Missing Authentication for Critical Function"},
                "ids": [{"system_name": "Example bugs", "text": "BUG-1"}],
                "notes": [
                    {"category": "description", "text": "The door stands open."},
                    {"category": "other", "title": "SSVC", "text": "SSVCv2/E:N"},
                ],
                "product_status": {"known_affected": ["P1", "P4"], "fixed": ["P2"]},
                "references": [{"summary": "More", "url": "https://psirt.example.com/more"}],
                "remediations": [
                    {
                        "category": "vendor_fix",
                        "details": "Update to 2.0.",
                        "product_ids": ["P1"],
                        "url": "https://psirt.example.com/2.0",
                    },
                    {"category": "none_available", "details": "Not for the case.", "group_ids": ["G1"]},
                ],
                "scores": [
                    {
                        "products": ["P1"],
                        "cvss_v3": {
                            "version": "3.1",
                            "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N",
                            "baseScore": 7.5,
                            "baseSeverity": "HIGH",
                        },
                    }
                ],
                "threats": [{"category": "impact", "details": "All is read."}],
                "release_date": "2026-01-02T10:00:00Z",
            }
        ],
    }
    return value | members


def advisory_file(**members: Any) -> bytes:
    """The same as a file."""
    return orjson.dumps(advisory(**members), option=orjson.OPT_INDENT_2)


def _version(product_id: str, version: str) -> dict[str, Any]:
    cpe = f"cpe:2.3:a:example:widget:{version}:*:*:*:*:*:*:*"
    product = {
        "product_id": product_id,
        "name": f"Example Widget {version}",
        "product_identification_helper": {"cpe": cpe, "model_numbers": ["W-1"]},
    }
    return {"category": "product_version", "name": version, "product": product}


LIST = (
    "tipo;indicador;primera_vez;tlp;etiquetas;comentario;confianza;referencia;columna_rara\r\n"
    "ip;203.0.113[.]7;2026-11-20;green;botnet|c2;Panel;alta;hxxps://example[.]org/r;x\r\n"
    "domain;evil[.]example[.]com;2026-11-20T08:30:00-05:00;;;;;;\r\n"
    "url;hxxp://evil.example.com/a'b;;amber;;;;;\r\n"
    "hash;D41D8CD98F00B204E9800998ECF8427F;2026-11-20;;;;;;\r\n"
    "ip;198.51.100.0/24;2026-11-20;;;;50;;\r\n"
    "cve;cve-2026-12345;2026-11-20;;;'=1+1;;;\r\n"
    "asn;64496;2026-11-20;;;;;;\r\n"
    "email;phish@example.com;2026-11-20;;;;;;\r\n"
    "file;invoice.exe;2026-11-20;red;;;;;\r\n"
    "ip;999.1.1.1;2026-11-20;;;;;;\r\n"
    "ip;203.0.113.7;2026-11-20;;;;;;\r\n"
    "colour;blue;2026-11-20;;;;;;\r\n"
    "ip;203.0.113.8;20/11/2026;;;;;;\r\n"
)

PASTED = """Dear colleagues,
we saw hxxp://evil[.]example[.]com/a/b.php?x=1), served from 203[.]0[.]113[.]7:8080 (C2), and 2001:db8::7.
The loader (sha256:9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08) is described in readme.md;
it uses kernel32.dll, CVE-2026-12345 and dropper[.]zip. Mail came from phish(at)example(dot)org, host=c2.example.net.
Our own 10.0.0.1 was not touched. Please block 198.51.100.0/24, AS64496 and evil.example.com.
"""


def report(columns: str, *lines: str) -> bytes:
    """A report as Shadowserver writes them, every cell in quotes; here without commas within."""
    rows = [",".join(f'"{cell}"' for cell in line.split(",")) for line in (columns, *lines)]
    return ("\n".join(rows) + "\n").encode()


# Open remote desktops, of several owners, with two lines that can't be read.
OPEN_RDP = report(
    "timestamp,severity,ip,protocol,port,hostname,tag,asn,geo,region,city,naics,sector,banner",
    "2026-11-20 04:12:33,high,203.0.113.7,tcp,3389,desk.example.pe,rdp,64496,PE,LIMA,LIMA,61,Bank,=x",
    "2026-11-20 04:12:34,high,203.0.113.8,tcp,3389,,rdp,64496,PE,LIMA,LIMA,,,",
    "2026-11-20 04:13:00,medium,198.51.100.9,tcp,3389,,rdp,64497,UY,,,,,",
    "2026-11-20 04:14:00,low,2001:db8::9,udp,3389,,rdp,64511,BR,,,,,",
    "2026-11-20 04:15:00,low,192.0.2.77,tcp,3389,,rdp,64500,CL,,,,,",
    "yesterday,low,203.0.113.9,tcp,3389,,rdp,64496,PE,,,,,",
    "2026-11-20 04:16:00,low,not-an-ip,tcp,3389,,rdp,64496,PE,,,,,",
)
SINKHOLE = report(
    "timestamp,protocol,src_ip,src_port,src_asn,src_geo,src_hostname,dst_ip,dst_port,infection,tag",
    "2026-11-20 05:00:00,tcp,203.0.113.7,50123,64496,PE,,192.0.2.1,443,andromeda,botnet",
)
