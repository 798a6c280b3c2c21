from django.urls import include, path

app_name = "office"
urlpatterns = [path("jobs.v2/", include("monitor.urls", namespace="jobs"))]
