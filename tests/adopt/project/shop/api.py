"""An API that answers in the team's own way."""

from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers
from rest_framework.parsers import JSONParser
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

from shop.models import Parcel


class TeamSchema(AutoSchema):
    def get_tags(self):
        return ["team"]


def team_errors(exc, context):
    response = exception_handler(exc, context)
    if response is not None:
        response.data = {"oops": response.data}
    return response


def stamped(result, generator, request, public):
    result["x-stamp"] = "team"
    return result


class ParcelSerializer(serializers.ModelSerializer):
    class Meta:
        model = Parcel
        fields = ["weight", "label"]

    def validate(self, attrs):
        if attrs["weight"] < 0:
            raise serializers.ValidationError("Weigh it again.")
        return attrs


class ParcelsView(APIView):
    permission_classes = [AllowAny]
    parser_classes = [JSONParser]
    serializer_class = ParcelSerializer

    def post(self, request):
        parcel = ParcelSerializer(data=request.data)
        parcel.is_valid(raise_exception=True)
        return Response(parcel.validated_data)


class NothingView(APIView):
    """What `REST_FRAMEWORK` says about permissions holds here."""

    serializer_class = ParcelSerializer

    def get(self, request):
        return Response({})
