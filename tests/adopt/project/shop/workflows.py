from people.models import User
from rest_framework import serializers

from parent import Step, Workflow
from shop.models import Parcel
from shop.tasks import break_down, legacy, old_price, price, wait_for_cancel, weigh


class ParcelParams(serializers.Serializer):
    parcels = serializers.IntegerField(min_value=1, max_value=100)
    extra = serializers.JSONField(required=False)

    def validate(self, attrs):
        if attrs["parcels"] == 13:
            raise serializers.ValidationError("Not thirteen.")
        return attrs


weigh_all = Workflow(
    "weigh_all",
    params=ParcelParams,
    steps=[Step(weigh, inputs=lambda run: {"parcels": run.params["parcels"]})],
)
fails = Workflow("fails", steps=[Step(break_down)])
endless = Workflow("endless", steps=[Step(wait_for_cancel)])


class FolderParams(serializers.Serializer):
    folder = serializers.CharField()


old_task = Workflow("old_task", params=FolderParams, steps=[Step(legacy)])


class ParcelSerializer(serializers.ModelSerializer):
    class Meta:
        model = Parcel
        fields = ["weight"]


class PriceParams(serializers.Serializer):
    sender = serializers.PrimaryKeyRelatedField(queryset=User.objects.all())
    parcels = ParcelSerializer(many=True)


prices = Workflow("prices", params=PriceParams, steps=[Step(price)])
old_prices = Workflow("old_prices", steps=[Step(old_price)])
