"""Names what is used of Flower; when an upgrade breaks one of these, server/flower.py and client/flower.py change."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation.run_simulation import _run_simulation
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from server.flower import FlowerRule, combine, take_identity


def test_the_version_is_the_one_that_was_tested() -> None:
    assert version("flwr").startswith("1.41.")


def test_a_grid_has_the_methods_that_the_in_process_engine_implements() -> None:
    assert Grid.__abstractmethods__ == {
        "set_run",
        "run",
        "create_message",
        "get_node_ids",
        "push_messages",
        "pull_messages",
        "send_and_receive",
    }


def test_apps_register_and_are_called_like_this() -> None:
    client, server = ClientApp(), ServerApp()
    assert all(callable(register) for register in (client.train(), client.query("identify"), server.main()))
    assert list(inspect.signature(client.__call__).parameters) == ["message", "context"]
    assert list(inspect.signature(server.__call__).parameters) == ["grid", "context"]


def test_messages_carry_records_and_know_what_they_answer() -> None:
    take_identity()
    message = Message(RecordDict({"order": ConfigRecord({"json": "{}"})}), 5, "train")
    message.metadata.__dict__["_message_id"] = "m"
    reply = Message(RecordDict({"w": ArrayRecord({"a": Array(np.zeros(2, np.float32))})}), reply_to=message)
    failed = Message(Error(1, "text"), reply_to=message)
    assert reply.metadata.reply_to_message_id == "m"
    assert message.metadata.dst_node_id == 5
    assert (reply.has_content(), failed.has_content(), failed.has_error()) == (True, False, True)
    array = reply.content["w"]["a"]
    assert (array.dtype, array.shape, type(array.data)) == ("float32", (2,), bytes)


def test_context_run_and_identity_have_the_fields_we_set() -> None:
    assert {"run_id", "node_id", "node_config", "state", "run_config"} <= set(inspect.signature(Context).parameters)
    run = Run.create_empty(1)
    assert {"primary_task_id", "federation_id"} <= set(vars(run))
    assert {"_task_id", "_run_id", "_node_id"} <= set(vars(TaskIdentity))


def test_the_simulation_runtime_takes_the_arguments_we_give() -> None:
    given = {"num_supernodes", "exit_event", "server_app_attr", "client_app_attr", "app_dir", "is_app", "run"}
    assert given | {"server_app_context", "backend_config"} <= set(inspect.signature(_run_simulation).parameters)


def test_fedavg_weighs_by_the_key_we_name() -> None:
    assert "weighted_by_key" in inspect.signature(FedAvg).parameters
    assert MetricRecord({"weight": 1.0})["weight"] == 1.0


def test_the_average_is_the_mean_of_all_sites() -> None:
    take_identity()
    rng = np.random.default_rng(0)
    updates = [{"a": rng.normal(size=(4, 5)).astype(np.float32), "s": np.array(n, np.float32)} for n in range(3)]
    averaged = combine(FlowerRule("FedAvg"), 1, updates)
    np.testing.assert_allclose(
        averaged["a"], np.mean([update["a"] for update in updates], axis=0), rtol=1e-5, atol=1e-7
    )
    assert averaged["s"] == 1
    assert {array.dtype for array in averaged.values()} == {np.dtype("float32")}


def test_a_node_tells_since_when_it_is_there() -> None:
    assert NodeInfo(node_id=1).last_activated_at == ""
    assert callable(Grid.get_nodes)
