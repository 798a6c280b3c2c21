from django.apps import AppConfig


class FlowsConfig(AppConfig):
    name = "bench.flows"
    label = "bench_flows"
