package app

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"switchyard/dispatch"
)

// flushTimeout bounds the sending of the last spans at the end.
const flushTimeout = 5 * time.Second

// tracer carries a trace from a delivery over the journal to the start of its
// executions. Without an endpoint it costs nothing and records nothing.
type tracer struct {
	spans    trace.Tracer
	provider *sdktrace.TracerProvider // nil without an endpoint
	log      *zap.Logger
}

var _ dispatch.Tracer = (*tracer)(nil)

func newTracer(ctx context.Context, endpoint string, ratio float64, version string, log *zap.Logger) (*tracer, error) {
	if endpoint == "" {
		return &tracer{spans: noop.NewTracerProvider().Tracer("")}, nil
	}
	// As OTEL_EXPORTER_OTLP_ENDPOINT is read: an address without a path is the
	// collector's, and traces have their own path there.
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("tracing.endpoint: %w", err)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()))
	if err != nil {
		return nil, fmt.Errorf("tracing.endpoint %s: %w", endpoint, err)
	}
	log = log.Named("trace")
	// The library has one error handler for the whole process; its own writes
	// past our log.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("spans were not sent", zap.Error(err)) }))
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio))),
		sdktrace.WithResource(resource.NewSchemaless(semconv.ServiceName("switchyard"), semconv.ServiceVersion(version))),
	)
	return &tracer{spans: provider.Tracer("switchyard"), provider: provider, log: log}, nil
}

// close sends the last spans. An endpoint that does not answer keeps the
// service neither from ending nor from ending well.
func (t *tracer) close() error {
	if t.provider == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("the last spans were not sent", zap.Error(err))
	}
	return nil
}

// receive serves one webhook call within a span of its own.
func (t *tracer) receive(next http.Handler, w http.ResponseWriter, r *http.Request) {
	if t.provider == nil {
		next.ServeHTTP(w, r)
		return
	}
	ctx, span := t.spans.Start(r.Context(), "delivery", trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("url.path", r.URL.Path)))
	defer span.End()
	next.ServeHTTP(w, r.WithContext(ctx))
}

// Inject implements [dispatch.Tracer].
func (t *tracer) Inject(ctx context.Context) string {
	if t.provider == nil {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get("traceparent")
}

// Start implements [dispatch.Tracer]. The span is a child of the delivery's,
// however long ago that was, so that one trace shows the whole way.
func (t *tracer) Start(ctx context.Context, x *dispatch.Execution) (context.Context, func(error)) {
	if t.provider == nil || x.Traceparent == "" {
		return ctx, func(error) {}
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": x.Traceparent})
	ctx, span := t.spans.Start(ctx, "start execution", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("switchyard.execution", x.ID), attribute.String("switchyard.route", x.Route),
		attribute.String("vcs.ref.head.revision", x.SHA)))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}
