"""The product tree of a CSAF advisory (CSAF 2.0 §3.2.2): each product becomes a `software` object.

Vendor and version are those of the branches above it; all that identifies it besides is kept in our extension.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from exchange.errors import Refused
from exchange.formats.csaf.made import Advisory, extension
from exchange.formats.members import Members

MAX_BRANCHES: Final = 30  # levels, as CSAF 2.0 §3.1.2 sets it
_CPE23: Final = "cpe:2.3:"


@dataclass
class Products:
    """The software object of each product id, and the groups as the report keeps them, for what names one."""

    software: dict[str, str] = field(default_factory=dict)
    groups: list[dict[str, Any]] = field(default_factory=list)

    def of(self, product_ids: list[str]) -> list[str]:
        """The software of these products, each once."""
        return list(dict.fromkeys(self.software[each] for each in product_ids if each in self.software))


def make_products(advisory: Advisory, tree: Members) -> Products:
    """Make the software of every product in the tree. Raises Refused `format.bad-file` for branches too deep."""
    products = Products()
    for branch in tree.objects("branches"):
        _branch(advisory, products, branch, ())
    for product in tree.objects("full_product_names"):
        _product(advisory, products, product, ())
    for relation in tree.objects("relationships"):
        _relation(advisory, products, relation)
    for group in tree.objects("product_groups"):
        said = {"group_id": group.text("group_id"), "summary": group.text("summary")}
        products.groups.append({**said, "product_ids": group.texts("product_ids")})
        group.end()
    tree.end()
    return products


def _branch(
    advisory: Advisory, products: Products, branch: Members, above: tuple[tuple[str, str], ...]
) -> None:
    if len(above) == MAX_BRANCHES:
        raise Refused("format.bad-file", f"{branch.place}: more than {MAX_BRANCHES} branches deep")
    path = (*above, (branch.text("category"), branch.text("name")))
    within = list(branch.objects("branches"))
    for inner in within:
        _branch(advisory, products, inner, path)
    product = branch.object("product")
    if product:
        _product(advisory, products, product, path)
    elif not within:
        advisory.losses.add(branch.place, "branch", "there is no product in it")
    branch.end()


def _product(
    advisory: Advisory, products: Products, product: Members, path: tuple[tuple[str, str], ...], **more: Any
) -> str:
    product_id, name = product.text("product_id"), product.text("name")
    helper = product.raw("product_identification_helper")
    product.end()
    last = dict(path)
    branches = [{"category": category, "name": each} for category, each in path]
    facts = {"branches": branches, "product_identification_helper": helper, **more}
    cpe = helper.get("cpe") if isinstance(helper, dict) else None
    software = advisory.add(
        product.place,
        "software",
        "product",
        product_id,
        name,
        orjson.dumps(facts).decode(),
        observable=True,
        name=name or product_id,
        vendor=last.get("vendor"),
        version=last.get("product_version") or last.get("product_version_range"),
        cpe=cpe if isinstance(cpe, str) and cpe.startswith(_CPE23) else None,
        extensions=extension(product_id=product_id, **facts),
    )
    if software:
        products.software[product_id] = software
    return software


def _relation(advisory: Advisory, products: Products, relation: Members) -> None:
    """A product that is made of two: it gets its own software, and its parts the relation that is said."""
    category, part, whole = (
        relation.text(name) for name in ("category", "product_reference", "relates_to_product_reference")
    )
    product = relation.object("full_product_name")
    relation.end()
    said = {"category": category, "product_reference": part, "relates_to_product_reference": whole}
    _product(advisory, products, product, (), relationship=said)
    ends = (products.software.get(part, ""), products.software.get(whole, ""))
    advisory.relate(relation.place, ends[0], category.replace("_", "-") or "related-to", ends[1])
