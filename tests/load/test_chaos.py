"""The parts of the chaos run: its clients know right answers from wrong ones, and fuzzing finds failures."""

import asyncio
import time

import pytest

from service.app import create_app
from service.models.loaded_version import LoadedVersion
from service.models.registry import LoadedModel, ModelRegistry
from service.observability.metrics import Metrics
from service.settings import ServiceSettings
from service.state import make_state
from tests.load.chaos.__main__ import was_in_flight
from tests.load.chaos.clients import Client, Lost, Outcomes
from tests.load.chaos.disturbances import Ending
from tests.load.chaos.fuzz import fuzz
from tests.load.chaos.requests import Answers, corrections, good_requests, refused_requests
from tests.support.application import served
from tests.support.examples import examples
from tests.support.variants import publish_variant
from training.predictor import Predictor
from training.store import Store


@pytest.fixture(scope="module")
def answers(trained_store):
    return Answers(trained_store, "tiny", [1])


@pytest.fixture(scope="module")
def port(trained_store, tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('feedback')}/feedback.sqlite3"
    settings, metrics = ServiceSettings(feedback_url=url), Metrics()
    predictor = Predictor.load(trained_store, "tiny")
    version = LoadedVersion.start(predictor, metrics, queue_limit_rows=settings.queue_limit_rows)
    registry = ModelRegistry({"tiny": LoadedModel({1: version}, {"champion": 1}, version)})
    with served(create_app(make_state(settings, registry=registry, metrics=metrics))) as (_, port):
        yield port


def test_clients_of_every_kind_get_what_they_know(port, answers):
    outcomes = Outcomes()
    requests = good_requests(answers, 0, 40), refused_requests("tiny"), corrections(answers)
    end_s = time.monotonic() + 3

    async def everybody():
        clients = [Client(port, outcomes, *requests, seed=number) for number in range(8)]
        await asyncio.gather(*(client.run(lambda: time.monotonic() > end_s, 0.01) for client in clients))

    asyncio.run(everybody())
    assert outcomes.wrong == []
    assert outcomes.lost == []
    assert len({name for name, _ in outcomes.answers}) > 15


def test_the_answer_of_another_version_is_wrong(answers, trained_store, tmp_path):
    store = Store(tmp_path)
    store.publish(*trained_store.load("tiny", 1))
    other = Answers(store, "tiny", [publish_variant(store, "tiny", 0.5)])
    probabilities = other._of_pool["2"][:3]
    assert other.close(probabilities, "2", None, slice(0, 3))
    assert not answers.close(probabilities, "1", None, slice(0, 3))
    assert not answers.close(probabilities, "2", None, slice(0, 3)), "nobody has loaded it"


def test_a_request_is_lost_in_a_killed_worker_if_it_was_there_then():
    endings = [Ending(10.0, 12.0)]
    assert was_in_flight(Lost("json", 9.0, 11.0, ""), endings)
    assert was_in_flight(Lost("json", 12.1, 12.2, ""), endings)
    assert not was_in_flight(Lost("json", 13.0, 14.0, ""), endings)
    assert not was_in_flight(Lost("json", 8.0, 9.0, ""), endings)


def test_no_fuzzed_request_makes_the_service_fail(port, answers):
    seeds = [*good_requests(answers, 1, 40), *refused_requests("tiny"), *corrections(answers)]
    found = asyncio.run(fuzz(port, seeds, examples(1200), 0))
    assert not found.statuses.keys() & {500, 501, 502}
    assert found.statuses[200] > 0
    assert found.statuses[400] + found.statuses[422] > 100
