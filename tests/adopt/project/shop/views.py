from django.shortcuts import render


def home(request):
    return render(request, "shop/home.html")


def bar(request, run_id):
    return render(request, "shop/bar.html", {"run_id": run_id})
