package lambda

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// The names of metrics, each a count.
const (
	metricDeliveries = "Deliveries"       // put on the queue
	metricStarted    = "Started"          // executions, the ones that existed not counted
	metricExisted    = "AlreadyStarted"   // executions that a repeated message asked for
	metricGivenBack  = "MessagesReturned" // messages that come again
	metricStatuses   = "Statuses"         // commits that were told
	metricJobs       = "PipelineJobs"     // jobs of CodePipeline that got a result
	metricJobsFailed = "PipelineJobsFailed"
	metricAudited    = "Audited"       // repositories
	metricAuditFails = "AuditFailures" // repositories that could not be audited as a whole
	metricMissing    = "Missing"       // executions that no delivery had asked for, and were started
)

// Metrics writes what an invocation did as a line in CloudWatch's embedded metric
// format, from which CloudWatch Logs makes metrics: namespace Switchyard, dimension
// FunctionName. A nil one counts nothing. It is safe for concurrent use.
//
// See "Specification: Embedded metric format" in the CloudWatch user guide.
type Metrics struct {
	w        io.Writer
	function string
	now      func() time.Time

	mu     sync.Mutex
	counts map[string]int
}

// NewMetrics writes to w, the function's standard output, for the function of
// that name.
func NewMetrics(w io.Writer, function string, now func() time.Time) *Metrics {
	return &Metrics{w: w, function: function, now: now, counts: map[string]int{}}
}

func (m *Metrics) count(name string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[name]++
}

// flush writes what was counted since the last time, if anything.
func (m *Metrics) flush() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.counts) == 0 {
		return
	}
	type metric struct{ Name, Unit string }
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	d := directive{Namespace: "Switchyard", Dimensions: [][]string{{"FunctionName"}}}
	line := map[string]any{"FunctionName": m.function}
	for _, name := range slices.Sorted(maps.Keys(m.counts)) {
		d.Metrics = append(d.Metrics, metric{name, "Count"})
		line[name] = m.counts[name]
	}
	line["_aws"] = map[string]any{"Timestamp": m.now().UnixMilli(), "CloudWatchMetrics": []directive{d}}
	clear(m.counts)
	if text, err := json.Marshal(line); err == nil {
		fmt.Fprintf(m.w, "%s\n", text)
	}
}

// traceHeader is where aws-lambda-go keeps an invocation's trace.
const traceHeader = "x-amzn-trace-id"

// traced has the executions that are started carry on the invocation's X-Ray
// trace, Root=1-<8 hex>-<24 hex>;Parent=<16 hex>;Sampled=1.
func traced(ctx context.Context) context.Context {
	header, _ := ctx.Value(traceHeader).(string)
	var id trace.TraceID
	var parent trace.SpanID
	var flags trace.TraceFlags
	for field := range strings.SplitSeq(header, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch key {
		case "Root":
			parts := strings.Split(value, "-")
			if len(parts) != 3 || parts[0] != "1" || hex.DecodedLen(len(parts[1]+parts[2])) != len(id) {
				return ctx
			}
			if _, err := hex.Decode(id[:], []byte(parts[1]+parts[2])); err != nil {
				return ctx
			}
		case "Parent":
			if hex.DecodedLen(len(value)) != len(parent) {
				return ctx
			}
			if _, err := hex.Decode(parent[:], []byte(value)); err != nil {
				return ctx
			}
		case "Sampled":
			if value == "1" {
				flags = trace.FlagsSampled
			}
		}
	}
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: parent, TraceFlags: flags, Remote: true})
	if !span.IsValid() {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, span)
}
