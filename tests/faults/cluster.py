"""A Cluster of three real primaries without replicas, its slots spread by hand."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.faults.children import free_port
from tests.faults.stores import Store

_SLOTS = 16_384
_NODES = 3


@dataclass
class Cluster:
    """Three primaries; a killed node takes its slots with it."""

    folder: Path
    program: str = "valkey"
    appendfsync: str = "always"
    nodes: list[Store] = field(default_factory=list)

    @property
    def url(self) -> str:
        """For the gate: all nodes."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    async def start(self) -> Self:
        """Start all and let them meet; every slot is served when this returns."""
        self.nodes = [self._node(index) for index in range(_NODES)]
        for index, node in enumerate(self.nodes):
            await node.start()
            await node.wait_ready()
            first, last = index * _SLOTS // _NODES, (index + 1) * _SLOTS // _NODES - 1
            await node.command("CLUSTER", "ADDSLOTSRANGE", first, last)
            # Nodes that are new all have epoch 0, and would settle their order one conflict after another.
            await node.command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        for node in self.nodes[1:]:
            bus = node.options["cluster-port"]
            await self.nodes[0].command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        await self.until_ok()
        return self

    async def until_ok(self, seconds: float = 20.0) -> None:
        """Until every node knows all others and finds the Cluster whole."""
        async with asyncio.timeout(seconds):
            while not all([await self._is_ok(node) for node in self.nodes]):
                await asyncio.sleep(0.05)

    async def node_of(self, key: str) -> Store:
        """Who holds this key's slot (that of its hash tag)."""
        slot = await self.nodes[0].command("CLUSTER", "KEYSLOT", key)
        for first, last, (_, port, *_), *_ in await self.nodes[0].command("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(f"nobody serves slot {slot}")

    def _node(self, index: int) -> Store:
        options = {"cluster-enabled": "yes", "cluster-port": str(free_port()), "cluster-node-timeout": "2000"}
        return Store(self.folder / f"node-{index}", self.program, self.appendfsync, options)

    async def _is_ok(self, node: Store) -> bool:
        said = (await node.command("CLUSTER", "INFO")).decode()
        return "cluster_state:ok" in said and f"cluster_known_nodes:{_NODES}" in said

    async def __aenter__(self) -> Self:
        try:
            return await self.start()
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes:
            await node.kill()
