"""A small archive in a real Rucio, and which of its preserved files have no safe copy."""

from __future__ import annotations

import secrets
import time
import zlib

import attrs

from ctao_bdms.errors import ForbiddenError
from ctao_bdms.model import Did, FirstRule
from ctao_bdms.testing.contract import registration
from tests.embedded.copies.world import ONSITE, World


@attrs.define
class SmallArchive:
    """Blocks, files and datasets of one example, in a scope of its own."""

    world: World
    scope: str = attrs.Factory(lambda: f"m{secrets.token_hex(4)}")
    #: Every file with its bytes.
    files: dict[tuple[str, str], bytes] = attrs.Factory(dict)
    #: The files that must never be without a safe copy.
    preserved: dict[tuple[str, str], bytes] = attrs.Factory(dict)
    #: The files that were registered in a block, so that Rucio makes locks for them.
    in_blocks: set[tuple[str, str]] = attrs.Factory(set)
    # Dictionaries keep the order of creation: in sets, what chance chooses would depend on hashes.
    blocks: dict[tuple[str, str], None] = attrs.Factory(dict)
    collections: dict[tuple[str, str], None] = attrs.Factory(dict)
    directories: dict[tuple[str, str], None] = attrs.Factory(dict)
    #: The calls and their answers, with times.
    history: list[str] = attrs.Factory(list)
    n_registered: int = 0
    #: The centre that is lost: nobody writes there.
    lost: str = ""
    open_block: tuple[str, str] = attrs.field(init=False)

    def note(self, what: str) -> None:
        self.history.append(f"{time.strftime('%H:%M:%S')} {what}")

    def dids(self) -> list[tuple[str, str]]:
        return [*self.files, *self.blocks, *self.collections]

    def raw_blocks(self) -> list[tuple[str, str]]:
        return [did for did in self.blocks if did[0] == self.scope]

    def begin_block(self) -> None:
        """Open a new block with a rule on site; later files go there."""
        self.open_block = block_did(self.scope)
        self.world.catalogue.open_block(Did(*self.open_block), FirstRule(rse_expression=ONSITE))
        self.blocks[self.open_block] = None

    def register_on_site(self) -> None:
        """Register a new file in the open block; if that block is closed, in a new one."""
        content = secrets.token_bytes(100)
        self.n_registered += 1
        file = registration(self.scope, self.n_registered, size_bytes=100, adler32=f"{zlib.adler32(content):08x}")
        did = (self.scope, str(file.lfn))
        self.world.write(ONSITE, did[1], content)
        (is_open,) = self.world.database.execute(
            "select is_open from rucio.dids where scope = %s and name = %s", self.open_block
        ).fetchone() or (False,)
        if not is_open:
            self.begin_block()
        self.world.catalogue.ensure_directories([file.lfn])
        self.directories[self.scope, did[1].rpartition("/")[0]] = None
        try:
            self.world.catalogue.register(Did(*self.open_block), ONSITE, [file])
        except ForbiddenError as error:  # an account has set an end to the rule of the empty block
            self.note(f"closed {self.open_block}: {error}")
            self.world.catalogue.close_block(Did(*self.open_block))
            self.begin_block()
            self.world.catalogue.register(Did(*self.open_block), ONSITE, [file])
        self.preserve(did, content)
        self.note(f"registered {did} in {self.open_block}")

    def preserve(self, did: tuple[str, str], content: bytes) -> None:
        """Expect a file that is in a block to keep a safe copy from now on."""
        self.files[did] = self.preserved[did] = content
        self.in_blocks.add(did)

    def violations(self) -> list[str]:
        """Return the preserved files without a safe sound copy, and then all that was done."""
        lost = [
            f"{did[1]}: {self.world.sound(did, content)}"
            for did, content in self.preserved.items()
            if not any(kept for _, kept, _ in self.world.sound(did, content))
        ]
        return [*lost, *self.history] if lost else []

    def unheld(self) -> list[str]:
        """Return the preserved files in blocks that no rule without end holds."""
        return [
            did[1]
            for did, content in self.preserved.items()
            if did in self.in_blocks and not any(held for *_, held in self.world.sound(did, content))
        ]


def block_did(scope: str, origin: str = "") -> tuple[str, str]:
    """Return a new name of a block; `origin` is the centre of a product, if not the site."""
    name = f"/ctao/{scope}/blocks/CTAO-North/2026/11/21/permanent-20261121T220000-{secrets.token_hex(4)}"
    return scope, f"{name}-{origin}" if origin else name
