"""Metrics as Prometheus reads them from `/metrics`."""

from prometheus_client.parser import text_string_to_metric_families


def read(exposition):
    """Values by the name of the sample and its labels, sorted pairs."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }
