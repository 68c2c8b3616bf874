"""A shop that sends its checkouts by the OpenTelemetry SDK, as services do."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

_PACE_S = 1.0


class Shop:
    """Sends checkouts of one service. env: addresses and the key of a stack."""

    def __init__(self, env: Mapping[str, str], *, service: str = "e2e-shop") -> None:
        self.service = service
        self._url = f"{env['BETRACE_OTLP_HTTP']}/v1/traces"
        self._headers = {"x-api-key": env["BETRACE_API_KEY"]}

    def check_out(self, *, amount: int, checked: bool = False, **attributes: str) -> str:
        """Send one trace; return its id.

        checked: for fraud, after the charge. attributes: further ones of the charge, `_` for `.`.
        """
        provider = TracerProvider(resource=Resource.create({"service.name": self.service}))
        exporter = OTLPSpanExporter(endpoint=self._url, headers=self._headers)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        tracer = provider.get_tracer("tests.e2e")
        with tracer.start_as_current_span("POST /checkout") as root:
            with tracer.start_as_current_span("cart.load"):
                pass
            with tracer.start_as_current_span("payment.charge") as charge:
                charge.set_attribute("amount", amount)
                for name, value in attributes.items():
                    charge.set_attribute(name.replace("_", "."), value)
            if checked:
                with tracer.start_as_current_span("fraud.check"):
                    pass
        provider.shutdown()
        return format(root.get_span_context().trace_id, "032x")

    @contextmanager
    def open(self, *, amount: int) -> Iterator[None]:
        """Check out again and again, everything as promised, until left."""
        closed = threading.Event()

        def serve() -> None:
            while not closed.wait(_PACE_S):
                self.check_out(amount=amount, checked=True)

        till = threading.Thread(target=serve, name=self.service)
        till.start()
        try:
            yield
        finally:
            closed.set()
            till.join()
