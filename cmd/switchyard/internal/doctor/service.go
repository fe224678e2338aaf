package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/dispatch"
	"switchyard/internal/safetext"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 4 << 20

// service looks at the service itself, through its own address.
func (s *Setup) service() Check {
	return Check{Area: "service", Name: "runs", Run: func(ctx context.Context) []Result {
		if !s.Running {
			return []Result{
				warning("runs", "nothing answers at "+s.Server, "start it with `switchyard serve`, or name it with --server"),
				needsService("ready"), needsService("API"), needsService("audits"),
			}
		}
		return append([]Result{s.runs(ctx), s.ready(ctx), s.api(ctx)}, s.metrics(ctx)...)
	}}
}

func (s *Setup) runs(ctx context.Context) Result {
	whose, err := s.alive(ctx, s.Server)
	switch {
	case err != nil:
		return failed("runs", err.Error(), "look at what listens there")
	case whose == another:
		return failed("runs", "another service than that of this data_dir answers at "+s.Server, "stop the other one, or name the right one with --server")
	case whose == cannotTell:
		return good("runs", "a service answers at %s; whether it is that of this config cannot be told from here", s.Server)
	}
	return good("runs", "it answers at %s", s.Server)
}

// whose a service is.
type whose int

const (
	ours whose = iota
	another
	// cannotTell is for who cannot read the data folder.
	cannotTell
)

// alive asks /healthz whether a service answers, and whose it is. The error says
// for a person what answers instead.
func (s *Setup) alive(ctx context.Context, base string) (whose, error) {
	query, want, unprovable := app.Challenge(s.Config)
	text, status, err := s.fetch(ctx, base+"/healthz?"+query)
	if err != nil {
		return another, err
	}
	lines := strings.Fields(text)
	if status != http.StatusOK || len(lines) == 0 || lines[0] != "ok" {
		return another, fmt.Errorf("%s/healthz is not answered by Switchyard: %d %q", base, status, safetext.Cut(text, 80))
	}
	switch {
	case len(lines) == 2 && unprovable == nil && lines[1] == want:
		return ours, nil
	case unprovable == nil:
		return another, nil
	}
	return cannotTell, nil
}

func (s *Setup) fetch(ctx context.Context, url string) (text string, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", 0, err
	}
	resp, err := s.HTTP.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return string(body), resp.StatusCode, err
}

// ready says what /readyz says.
func (s *Setup) ready(ctx context.Context) Result {
	const check = "ready"
	text, status, err := s.fetch(ctx, s.Server+"/readyz")
	first, rest, _ := strings.Cut(strings.TrimSpace(text), "\n")
	rest = strings.ReplaceAll(rest, "\n", "; ")
	switch {
	case err != nil:
		return failed(check, err.Error(), "look at what listens there")
	case status == http.StatusOK && strings.Contains(rest, "waiting for room"):
		return warning(check, first+"; "+rest, "make room on the disk of data_dir")
	case status == http.StatusOK:
		return good(check, "%s", strings.TrimSuffix(first+"; "+rest, "; "))
	}
	return failed(check, fmt.Sprintf("%d %s", status, safetext.Cut(first, 300)), "the service's log says more")
}

// api says whether the API takes our token.
func (s *Setup) api(ctx context.Context) Result {
	const check = "API"
	if s.API == nil {
		return unknown(check, "%v", s.NoToken)
	}
	if _, err := s.API.Deliveries(ctx, dispatch.DeliveryFilter{Limit: 1}); err != nil {
		return failed(check, err.Error(), "give the token of server.api_tokens or of api.token in data_dir, by SWITCHYARD_TOKEN or --token-file")
	}
	return good(check, "it takes the token")
}

// publicURL says whether the service is there where hosts are sent to.
func (s *Setup) publicURL() Check {
	const check = "public_url"
	return Check{Area: "service", Name: check, Run: func(ctx context.Context) []Result {
		base := s.Config.Server.PublicURL
		switch {
		case base == "":
			return []Result{warning(check, "server.public_url is not set: webhooks cannot be made or looked at, and statuses link to "+s.Config.Server.Listen,
				"set it to the URL under which git hosts reach the service")}
		case !s.Running:
			return []Result{needsService(check)}
		}
		whose, err := s.alive(ctx, base)
		switch {
		case err != nil:
			return []Result{failed(check, "from here: "+err.Error(), "have the proxy or tunnel behind "+base+" lead to "+s.Config.Server.Listen+", and look at its name and certificate")}
		case whose == another:
			return []Result{failed(check, "another Switchyard answers at "+base, "have it lead to "+s.Config.Server.Listen+" of this machine, or correct server.public_url")}
		case whose == cannotTell:
			return []Result{good(check, "a Switchyard answers at %s; whether it is this one only its own user can tell", base)}
		}
		found := []Result{good(check, "%s leads here", base)}
		if strings.HasPrefix(base, "http:") {
			found = append(found, warning(check, "it is http: who listens on the way reads commits, and can replay deliveries", "put a proxy with TLS in front and write https"))
		}
		return found
	}}
}

// metrics says what the service counts: audits, and what went wrong in its config
// and its secrets.
func (s *Setup) metrics(ctx context.Context) []Result {
	const check = "audits"
	m, err := s.counts(ctx)
	if err != nil {
		return []Result{unknown(check, "%v", err)}
	}
	found := s.audits(m)
	if n := m.sum("switchyard_aws_secrets_failing"); n > 0 {
		found = append(found, warning("secrets", fmt.Sprintf("%.0f secrets in AWS cannot be read again; the last good values stay", n), "the service's log says which and why"))
	}
	return found
}

// audits says when what hosts have was last held against the journal.
func (s *Setup) audits(m counts) []Result {
	const check = "audits"
	every := time.Duration(s.Config.Audit.Every)
	if every == 0 {
		return []Result{warning(check, "audit.every is 0: commits whose deliveries get lost are found by `switchyard audit` alone", "leave audit.every out for once an hour, or run `switchyard audit` on a schedule")}
	}
	var found []Result
	for _, name := range m.values("switchyard_audits_total", "source") {
		failures := m.sum("switchyard_audits_total", "source", name, "outcome", "failed")
		at := m.sum("switchyard_audit_last_whole_timestamp_seconds", "source", name)
		age := s.Now().Sub(time.Unix(int64(at), 0)).Round(time.Second)
		switch {
		case at == 0:
			found = append(found, failed(check, fmt.Sprintf("no repository of %s could be audited since the service started (%.0f tries)", name, failures), "`switchyard audit` says why"))
		case age > 2*every+time.Minute:
			found = append(found, failed(check, fmt.Sprintf("the last whole audit of %s was %v ago, and there is one every %v", name, age, every), "`switchyard audit` says why"))
		case m.sum("switchyard_audit_missing_total", "source", name, "done", "left") > 0 && !s.Config.Audit.Heal:
			found = append(found, warning(check, fmt.Sprintf("audits of %s found commits without executions, and audit.heal is false", name), "`switchyard audit --heal` starts them"))
		default:
			found = append(found, good(check, "%s was audited %v ago", name, age))
		}
	}
	if len(found) == 0 {
		found = append(found, unknown(check, "there was none since the service started: no repository is known yet, or it has just started"))
	}
	return found
}

// counts are the service's metrics by name.
type counts map[string]*dto.MetricFamily

// counts reads the metrics of the service.
func (s *Setup) counts(ctx context.Context) (counts, error) {
	text, status, err := s.fetch(ctx, s.Server+"/metrics")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s/metrics answers %d; where it is not open to all, run this on the service's machine", s.Server, status)
	}
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	m, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s/metrics cannot be read: %w", s.Server, err)
	}
	return m, nil
}

// sum adds up the counters and gauges of a name that have these labels, given as
// names and values.
func (m counts) sum(name string, labels ...string) float64 {
	sum := 0.0
	for _, one := range m[name].GetMetric() {
		has := true
		for i := 0; i < len(labels); i += 2 {
			has = has && label(one, labels[i]) == labels[i+1]
		}
		if has {
			sum += one.GetCounter().GetValue() + one.GetGauge().GetValue()
		}
	}
	return sum
}

// values are those that a label has, sorted.
func (m counts) values(name, of string) []string {
	var all []string
	for _, one := range m[name].GetMetric() {
		all = append(all, label(one, of))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
