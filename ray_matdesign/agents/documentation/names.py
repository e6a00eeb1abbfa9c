"""Which names lead to a definition, and which of them a user should be told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ray_matdesign.agents.documentation.records import UNKNOWN, Module, Symbol, is_private

_MOST_HOPS = 40
_MOST_SHARED = 3
"""A method that so many unrelated classes define is not told apart by its name alone."""


@dataclass(frozen=True)
class Link:
    """A call, followed to what is called.

    Attributes:
        target: Qualified name of the definition.
        sure: Whether the source tells; otherwise the method's name does, which few classes have.
    """

    target: str
    sure: bool


class Names:
    """All names of an environment.

    Args:
        modules: Without their documents and calls, if memory is short.
        symbols: Of all of them.
    """

    def __init__(self, modules: Iterable[Module], symbols: Iterable[Symbol]) -> None:
        self._modules = {module.name: module for module in modules}
        self._symbols: dict[str, Symbol] = {}
        self._of_method: dict[str, list[str]] = defaultdict(list)
        for symbol in symbols:
            self._symbols.setdefault(symbol.qualname, symbol)
        self._members: dict[str, list[Symbol]] = defaultdict(list)
        for symbol in self._symbols.values():
            self._members[symbol.module].append(symbol)
            if symbol.kind in ("method", "property"):
                self._of_method[symbol.leaf].append(symbol.qualname)
        self._found: dict[str, str | None] = {}
        self._ancestors: dict[str, tuple[str, ...]] = {}

    def resolve(self, dotted: str) -> str | None:
        """Qualified name of the definition, or of the module, that a dotted name leads to.

        Imports, names given twice and inherited members are followed. ``None`` if it leads nowhere.
        """
        if dotted not in self._found:
            self._found[dotted] = None  # an import that leads in a circle leads nowhere
            self._found[dotted] = self._resolve(dotted, _MOST_HOPS)
        return self._found[dotted]

    def _resolve(self, dotted: str, hops: int) -> str | None:
        found = self._symbols.get(dotted)
        if hops == 0 or (found is not None and found.kind != "module"):
            return dotted if found is not None else None
        parent, _, leaf = dotted.rpartition(".")
        home = self._home(parent, hops) if parent else None
        if home in self._modules:
            module = self._modules[home]
            inside = f"{home}.{leaf}"
            if inside in self._symbols and inside not in self._modules:
                return inside
            target = module.imports.get(leaf)
            if target not in (None, dotted) and (told := self._resolve(str(target), hops - 1)):
                return told
            for star in module.stars:
                if self._exports(star, leaf) and (
                    told := self._resolve(f"{star}.{leaf}", hops - 1)
                ):
                    return told
            return inside if inside in self._modules else None
        if home is not None:
            for one in self.ancestry(home):
                if f"{one}.{leaf}" in self._symbols:
                    return f"{one}.{leaf}"
        return dotted if dotted in self._modules else None

    def _home(self, parent: str, hops: int) -> str | None:
        # Where a function has the name of its module, what follows the dot is the module's.
        return parent if parent in self._modules else self._resolve(parent, hops - 1)

    def _exports(self, module: str, leaf: str) -> bool:
        exported = self._modules[module].exported if module in self._modules else ()
        return not leaf.startswith("_") if exported is None else leaf in exported

    def ancestry(self, qualname: str) -> tuple[str, ...]:
        """A class and the classes it inherits from, the nearest first, each once."""
        if qualname not in self._ancestors:
            self._ancestors[qualname] = (qualname,)  # a class that inherits itself ends here
            symbol = self._symbols.get(qualname)
            found = [qualname]
            for base in symbol.bases if symbol else ():
                resolved = self.resolve(base)
                if resolved in self._symbols:
                    found += self.ancestry(str(resolved))
            self._ancestors[qualname] = tuple(dict.fromkeys(found))
        return self._ancestors[qualname]

    def link(self, target: str) -> list[Link]:
        """What a call leads to: one definition, or several if only a method's name is known."""
        if not target.startswith(f"{UNKNOWN}."):
            found = self.resolve(target)
            return [Link(found, sure=True)] if found in self._symbols else []
        named = self._of_method.get(target[2:], [])
        return [Link(one, sure=False) for one in named] if len(named) <= _MOST_SHARED else []

    def reexports(self) -> Iterator[tuple[str, str]]:
        """Names that packages give to what they did not define, with the qualified name of each.

        An import that merely serves its module is none: a package re-exports what lies beneath it,
        or what it lists; a module re-exports what it takes by a star, or lists.
        """
        for module in self._modules.values():
            listed = set(module.exported or ())
            for name, target in module.imports.items():
                beneath = module.package and target.startswith(f"{module.name}.")
                if (beneath or name in listed) and (found := self.resolve(f"{module.name}.{name}")):
                    yield f"{module.name}.{name}", found
            for star in module.stars:
                if star in self._modules:
                    yield from self._by_star(module, star)

    def _by_star(self, module: Module, star: str) -> Iterator[tuple[str, str]]:
        for leaf in self.public_names(star):
            if (module.exported is None or leaf in module.exported) and (
                found := self.resolve(f"{module.name}.{leaf}")
            ):
                yield f"{module.name}.{leaf}", found

    def public_names(self, module: str, hops: int = 8) -> list[str]:
        """What a star takes from a module."""
        one = self._modules.get(module)
        if one is None or hops == 0:
            return []
        if one.exported is not None:
            return list(one.exported)
        defined = [
            symbol.leaf
            for symbol in self._members.get(module, ())
            if not symbol.owner and symbol.kind != "module" and not symbol.leaf.startswith("_")
        ]
        taken = [name for star in one.stars for name in self.public_names(star, hops - 1)]
        return list(dict.fromkeys([*defined, *taken]))

    def preferred(self) -> tuple[dict[str, str], dict[str, str]]:
        """The name to tell of each definition, and the definition of each further name.

        Returns:
            Preferred names by qualified name, of everything that has a public one; and qualified
            names by re-exported ones.
        """
        aliases = dict(self.reexports())
        names: dict[str, str] = {}
        for alias, qualname in aliases.items():
            if not is_private(alias):
                _keep_better(names, qualname, alias)
        for symbol in self._symbols.values():
            if not symbol.owner and not is_private(symbol.qualname):
                _keep_better(names, symbol.qualname, symbol.qualname, own=True)
        heirs = self._public_heirs(names)
        for symbol in self._symbols.values():
            if symbol.owner and not symbol.leaf.startswith("_"):
                owner = names.get(symbol.owner) or heirs.get(symbol.owner)
                if owner:
                    names[symbol.qualname] = f"{owner}.{symbol.leaf}"
        return names, aliases

    def _public_heirs(self, names: Mapping[str, str]) -> dict[str, str]:
        """Public classes that inherit from private ones, by the private."""
        heirs: dict[str, str] = {}
        for symbol in self._symbols.values():
            if symbol.kind == "class" and symbol.qualname in names:
                for ancestor in self.ancestry(symbol.qualname)[1:]:
                    if ancestor not in names:
                        _keep_better(heirs, ancestor, names[symbol.qualname])
        return heirs


def _keep_better(names: dict[str, str], key: str, name: str, *, own: bool = False) -> None:
    """Keeps the shorter of two names; of two as short, the one where it is defined."""
    kept = names.get(key)
    rank = (name.count("."), not own, len(name))
    if kept is None or rank < (kept.count("."), kept != key, len(kept)):
        names[key] = name
