from django.apps import AppConfig


class FlowsConfig(AppConfig):
    name = "chaos.flows"
    label = "chaos_flows"
