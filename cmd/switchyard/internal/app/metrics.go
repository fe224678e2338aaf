package app

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"switchyard/audit"
	"switchyard/build"
	"switchyard/dispatch"
	"switchyard/dispatch/status"
	"switchyard/internal/awssecret"
)

// metrics tells Prometheus what the rooms report. Names, units and labels are
// a face of the service: docs/operations.md lists them.
type metrics struct {
	registry *prometheus.Registry
	log      *zap.Logger

	deliveries   *prometheus.CounterVec
	answers      *prometheus.HistogramVec
	calls        *prometheus.HistogramVec
	startLatency prometheus.Histogram
	ended        *prometheus.CounterVec
	reloads      *prometheus.CounterVec
	audits       *prometheus.CounterVec
	lost         *prometheus.CounterVec
	audit        *prometheus.GaugeVec
}

func newMetrics(log *zap.Logger) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		log:      log,
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchyard_deliveries_total", Help: "Webhook calls answered, by source and outcome.",
		}, []string{"source", "outcome"}),
		answers: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "switchyard_delivery_answer_seconds", Help: "Time from a webhook call to its answer.",
			Buckets: prometheus.ExponentialBuckets(.0005, 2.5, 11),
		}, []string{"source"}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "switchyard_engine_call_seconds", Help: "Calls to the engine, by operation and outcome.",
			Buckets: prometheus.ExponentialBuckets(.0005, 4, 9),
		}, []string{"operation", "outcome"}),
		startLatency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "switchyard_start_latency_seconds", Help: "Time from a delivery to the start of each of its executions, waiting for an environment included.",
			Buckets: prometheus.ExponentialBuckets(.001, 4, 12),
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchyard_executions_ended_total", Help: "Executions that have ended, by state.",
		}, []string{"state"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchyard_config_reloads_total", Help: "Config reloads, by outcome: applied or refused.",
		}, []string{"outcome"}),
		audits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchyard_audits_total", Help: "Audits of repositories, by source and outcome: whole or failed.",
		}, []string{"source", "outcome"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchyard_audit_missing_total", Help: "Executions that no delivery asked for, found by audits, by source and what was done: healed or left.",
		}, []string{"source", "done"}),
		audit: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "switchyard_audit_last_whole_timestamp_seconds", Help: "When a repository of the source was last audited as a whole, in seconds since 1970.",
		}, []string{"source"}),
	}
	m.registry.MustRegister(m.audits, m.lost, m.audit)
	m.registry.MustRegister(m.deliveries, m.answers, m.calls, m.startLatency, m.ended, m.reloads,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, state := range dispatch.States() {
		if state.Finished() {
			m.ended.WithLabelValues(string(state))
		}
	}
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// answered is the webhook handler's observer.
func (m *metrics) answered(source, outcome string, took time.Duration) {
	m.deliveries.WithLabelValues(source, outcome).Inc()
	m.answers.WithLabelValues(source).Observe(took.Seconds())
}

// Delivered, Called, Started and Ended make metrics a [dispatch.Observer].
// Deliveries are counted where they are answered.
func (m *metrics) Delivered(string, time.Duration) {}

func (m *metrics) Called(op, outcome string, took time.Duration) {
	m.calls.WithLabelValues(op, outcome).Observe(took.Seconds())
}

func (m *metrics) Started(latency time.Duration) { m.startLatency.Observe(latency.Seconds()) }

func (m *metrics) Ended(state dispatch.State) { m.ended.WithLabelValues(string(state)).Inc() }

var _ dispatch.Observer = (*metrics)(nil)

// audited is the auditor's observer.
func (m *metrics) audited(s audit.Summary) {
	outcome := "whole"
	if s.Error != "" {
		outcome = "failed"
	} else if !s.Narrow {
		m.audit.WithLabelValues(s.Source).SetToCurrentTime()
	}
	m.audits.WithLabelValues(s.Source, outcome).Inc()
	m.lost.WithLabelValues(s.Source, "healed").Add(float64(s.Healed))
	m.lost.WithLabelValues(s.Source, "left").Add(float64(s.Missing - s.Healed))
}

// depth is what lies in the journal, read when Prometheus asks.
type depth struct {
	read  func(context.Context) (dispatch.Depth, error)
	log   *zap.Logger
	queue *prometheus.Desc
}

// scrapeTimeout bounds the reading of the journal for one scrape.
const scrapeTimeout = 3 * time.Second

func (m *metrics) watchDepth(read func(context.Context) (dispatch.Depth, error)) {
	m.registry.MustRegister(&depth{read: read, log: m.log, queue: prometheus.NewDesc("switchyard_queue_depth",
		"Work in the journal: deliveries to be expanded or completed, executions waiting, ready or running, statuses and answers to be posted.", []string{"queue"}, nil)})
}

func (d *depth) Describe(c chan<- *prometheus.Desc) { c <- d.queue }

func (d *depth) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	now, err := d.read(ctx)
	if err != nil {
		d.log.Warn("queue depth not read", zap.Error(err))
		c <- prometheus.NewInvalidMetric(d.queue, err)
		return
	}
	for queue, n := range map[string]int64{
		"deliveries": now.Deliveries, "completing": now.Completing, "waiting": now.Waiting, "ready": now.Ready, "running": now.Running, "statuses": now.Statuses, "answers": now.Answers,
	} {
		c <- prometheus.MustNewConstMetric(d.queue, prometheus.GaugeValue, float64(n), queue)
	}
}

// buildRoom is how local builds stand with the disk, read when Prometheus asks.
type buildRoom struct {
	read                  func() build.Room
	free, paused, waiting *prometheus.Desc
}

func (m *metrics) watchBuilds(read func() build.Room) {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }
	m.registry.MustRegister(&buildRoom{
		read:    read,
		free:    desc("switchyard_builds_disk_free_bytes", "What the disk of the data folder has free; below engine.embedded.builds.reserve builds are paused."),
		paused:  desc("switchyard_builds_paused", "Local builds that are paused since the disk has too little free."),
		waiting: desc("switchyard_builds_waiting_for_room", "Local builds that don't begin since the disk has too little free."),
	})
}

func (b *buildRoom) Describe(c chan<- *prometheus.Desc) { c <- b.free; c <- b.paused; c <- b.waiting }

func (b *buildRoom) Collect(c chan<- prometheus.Metric) {
	room := b.read()
	c <- prometheus.MustNewConstMetric(b.free, prometheus.GaugeValue, float64(room.Free))
	c <- prometheus.MustNewConstMetric(b.paused, prometheus.GaugeValue, float64(room.Paused))
	c <- prometheus.MustNewConstMetric(b.waiting, prometheus.GaugeValue, float64(room.Waiting))
}

// counter registers a count that is kept elsewhere.
func (m *metrics) counter(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read))
}

// watchSecrets shows how fresh the secrets are that are read from AWS.
func (m *metrics) watchSecrets(stats func() awssecret.Stats) {
	gauge := func(name, help string, read func(awssecret.Stats) float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return read(stats()) }))
	}
	gauge("switchyard_aws_secrets_age_seconds", "Time since the secret in AWS that was not read for longest was read; 0 without any.",
		func(s awssecret.Stats) float64 { return s.Age.Seconds() })
	gauge("switchyard_aws_secrets_failing", "Secrets in AWS that could not be read when last asked for, and keep their last good value.",
		func(s awssecret.Stats) float64 { return float64(s.Failing) })
}

// statusPosts counts commit statuses, read when Prometheus asks.
type statusPosts struct {
	read             func() []status.Stats
	posts, held, lag *prometheus.Desc
}

func (m *metrics) watchStatuses(read func() []status.Stats) {
	m.registry.MustRegister(&statusPosts{
		read: read,
		posts: prometheus.NewDesc("switchyard_status_posts_total",
			"Commit statuses by source and outcome: posted, refused, failed or throttled and tried again.", []string{"source", "outcome"}, nil),
		held: prometheus.NewDesc("switchyard_status_held_repositories",
			"Repositories whose statuses the host refuses or fails to take, and which are left alone for now.", []string{"source"}, nil),
		lag: prometheus.NewDesc("switchyard_status_lag_seconds",
			"How long the commit statuses that were posted had waited, from when the execution changed.", []string{"source"}, nil),
	})
}

func (s *statusPosts) Describe(c chan<- *prometheus.Desc) { c <- s.posts; c <- s.held; c <- s.lag }

func (s *statusPosts) Collect(c chan<- prometheus.Metric) {
	for _, source := range s.read() {
		c <- prometheus.MustNewConstSummary(s.lag, source.Posted, source.Lag.Seconds(), nil, source.Source)
		c <- prometheus.MustNewConstMetric(s.held, prometheus.GaugeValue, float64(source.Held), source.Source)
		for outcome, n := range map[string]uint64{
			"posted": source.Posted, "refused": source.Refused, "failed": source.Failed, "throttled": source.Throttled,
		} {
			c <- prometheus.MustNewConstMetric(s.posts, prometheus.CounterValue, float64(n), source.Source, outcome)
		}
	}
}
