"""Rooms: the most specific match wins; open rules need all their parts."""

from ipaddress import ip_address, ip_network

from gate.core.room import Bypass, Room, find_room


def test_the_most_specific_room_wins():
    """An exact host before a wildcard before any; then the longest path."""
    everything = Room(name="all")
    shop = Room(name="shop", hosts=("shop.example",))
    wild = Room(name="wild", hosts=("*.example",))
    sale = Room(name="sale", hosts=("shop.example",), paths=("/sale",))
    rooms = (everything, wild, shop, sale)

    def name(host: str, path: str) -> str:
        room = find_room(rooms, host, path, fold=False)
        return room.name if room else ""

    assert name("shop.example", "/sale/1") == "sale"
    assert name("shop.example", "/x") == "shop"
    assert name("www.example", "/sale") == "wild"
    assert name("other.test", "/") == "all"


def test_a_bypass_needs_every_part_it_names():
    """Paths, methods and networks are ANDed within a rule."""
    rule = Bypass(("/hook",), frozenset({"POST"}), (ip_network("10.0.0.0/8"),))
    inside, outside = ip_address("10.1.2.3"), ip_address("8.8.8.8")
    assert rule.covers("/hook/1", "POST", inside, fold=False)
    assert not rule.covers("/hook/1", "GET", inside, fold=False)
    assert not rule.covers("/hook/1", "POST", outside, fold=False)
    assert not rule.covers("/x", "POST", inside, fold=False)
