"""Tests of the HTTP surface and the pages."""
