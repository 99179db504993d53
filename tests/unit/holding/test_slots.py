"""Where a GPU sits, as people write it; records of agents that knew no instances."""

from labq.node import Gpu, Node


def test_the_slot_of_a_card_is_its_index_and_of_an_instance_both_numbers() -> None:
    assert Gpu("GPU-a", 2, "A100", 1).slot == "2"
    assert Gpu("MIG-a", 2, "A100 MIG 1g.5gb", 1, instance=0).slot == "2.0"


def test_an_instance_crosses_the_wire() -> None:
    node = Node("n1", 1, 1, (Gpu("MIG-a", 2, "A100 MIG 1g.5gb", 1, instance=7),))
    assert Node.from_wire(node.to_wire()) == node


def test_a_record_from_before_instances_were_known_is_read() -> None:
    body = Node("n1", 1, 1, (Gpu("GPU-a", 0, "A100", 1),)).to_wire()
    del body["gpus"][0]["instance"]
    assert Node.from_wire(body).gpus[0].instance is None
