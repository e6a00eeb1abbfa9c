import pytest

from ray_matdesign.agents.tools.loopback import is_loopback


@pytest.mark.parametrize(
    "place",
    [
        "127.0.0.1",
        "127.0.0.1:8000",
        "127.8.8.8",
        "::1",
        "[::1]",
        "[::1]:8000",
        "localhost",
        "LocalHost:1",
    ],
)
def test_the_loopback_is_known_by_address_and_by_its_one_name(place: str) -> None:
    assert is_loopback(place)


@pytest.mark.parametrize(
    "place",
    [
        "",
        "0.0.0.0",
        "192.0.2.7:8000",
        "::",
        "[::1",
        "127.0.0.1.example.com",
        "localhost.example.com",
        "example.com@127.0.0.1",
        "127.0.0.1/example.com",
        "one of those",
    ],
)
def test_nothing_else_passes_for_it(place: str) -> None:
    assert not is_loopback(place)
