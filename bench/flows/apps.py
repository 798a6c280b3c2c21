import os

from django.apps import AppConfig


class FlowsConfig(AppConfig):
    name = "bench.flows"
    label = "bench_flows"

    def ready(self) -> None:
        if "BENCH_TICKS" in os.environ:
            from bench.flows import ticks  # noqa: PLC0415 - needs Django's apps loaded

            ticks.tell()
