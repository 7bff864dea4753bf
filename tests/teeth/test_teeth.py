"""Every law is shown to fail on a method broken on purpose, and to pass on a sound one at the same place."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import torch

from pellucid import catalog
from pellucid.testing import saboteurs
from pellucid.testing.laws import LAWS, UNIVERSAL, law
from pellucid.testing.saboteurs import Saboteur
from pellucid.testing.toys import toy
from pellucid.words.method import Law

CASES = [(name, saboteur) for name, broken in saboteurs.OF.items() for saboteur in broken]

SOUND = {"COMPLETE": "integrated_gradients", "SYMMETRIC": "integrated_gradients", "LINEAR": "input_x_gradient",
         "FLAT": "integrated_gradients"}
"""A method that keeps the law for the same reason that the saboteur breaks it; saliency for the others."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_every_law_has_a_check_and_a_saboteur() -> None:
    assert {w.name for w in Law} | set(UNIVERSAL) == set(LAWS) == set(saboteurs.OF)
    assert all(named.saboteurs for named in LAWS.values())
    assert len(UNIVERSAL) == 5


def test_a_law_that_nobody_checks_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="no law is called 'CALIBRATED'"):
        law("CALIBRATED")


@pytest.mark.parametrize(("name", "saboteur"), CASES, ids=[f"{n}: {s.name}" for n, s in CASES])
def test_a_saboteur_fails_its_own_law(name: str, saboteur: Saboteur) -> None:
    on = toy(saboteur.on)
    broken = saboteur.build(on)
    with pytest.raises(AssertionError, match=rf"(?s)^\[{name}\] {broken.name}.*{re.escape(saboteur.expects)}"):
        law(name).check(broken, saboteur.options, on)
    law(name).check(catalog.find(SOUND.get(name, "saliency")), {}, toy(saboteur.on))


@pytest.mark.parametrize(("name", "saboteur"), CASES, ids=[f"{n}: {s.name}" for n, s in CASES])
def test_a_saboteur_keeps_the_laws_it_does_not_attack(name: str, saboteur: Saboteur) -> None:
    """What is broken is the one thing that is meant: otherwise a law might fail for another reason."""
    for other in set(UNIVERSAL) - {name, *saboteur.breaks_too}:
        on = toy(saboteur.on)
        law(other).check(saboteur.build(on), saboteur.options, on)


def test_saboteurs_stand_in_no_catalogue() -> None:
    known = catalog.methods()
    for _, saboteur in CASES:
        assert saboteur.build(toy(saboteur.on)).name not in known
