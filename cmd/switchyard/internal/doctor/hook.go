package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/cmd/switchyard/internal/hostsetup"
	"switchyard/githost"
	"switchyard/webhook"
)

// hook looks at the webhook of a repository.
func (s *Setup) hook(ctx context.Context, source, repository string, host app.OpenHost) []Result {
	const check = "webhook"
	hooks, ok := host.Host.(githost.Hooks)
	to := s.Config.HookURL(source)
	switch {
	case !ok:
		return []Result{unknown(check, "this kind of host has none, or does not show them by its API")}
	case to == "":
		return []Result{unknown(check, "without server.public_url nobody can tell which is ours")}
	}
	all, err := hooks.Hooks(ctx, repository)
	if err != nil {
		r := s.refused(check, source, host.Hints, err)
		r.Fix += "; or look at it by hand at " + at(host.Hints.Hooks)
		if s.delivered(source, repository) && r.Status == Failed {
			r.Status, r.Found = Warning, "deliveries arrive, but it cannot be looked at: "+r.Found
		}
		return []Result{r}
	}
	return hookResults(hooks, all, to, source, repository, host.Hints.Hooks, s.delivered(source, repository))
}

// hookResults says what is the matter with the webhooks of a repository, of which
// ours leads to the given URL. delivered says that deliveries arrive, whichever way.
func hookResults(events hostsetup.Events, all []githost.Hook, to, source, repository, page string, delivered bool) []Result {
	const check = "webhook"
	create := fmt.Sprintf("switchyard hooks create --repository %s:%s", source, repository)
	ours := hostsetup.Ours(all, to)
	if len(ours) == 0 {
		found := "none leads to " + to
		for _, h := range all {
			if strings.HasSuffix(strings.TrimRight(h.URL, "/"), "/webhooks/"+source) {
				found += "; one leads to " + h.URL
			}
		}
		if delivered {
			return []Result{good(check, "%s, but deliveries arrive: by a webhook of the organisation or group, or an App's", found)}
		}
		return []Result{failed(check, found, create+", or correct server.public_url")}
	}
	var found []Result
	if len(ours) > 1 {
		found = append(found, warning(check, fmt.Sprintf("%d lead to %s, so that everything is delivered %d times", len(ours), to, len(ours)), create))
	}
	for i := range ours {
		h := &ours[i]
		missing := hostsetup.MissingEvents(events, h)
		switch {
		case !h.Active:
			found = append(found, failed(check, strings.TrimSuffix("it is switched off: "+h.Trouble, ": "), create))
		case len(missing) > 0:
			found = append(found, failed(check, "it does not tell of "+strings.Join(missing, ", "), create))
		case h.Trouble != "":
			found = append(found, warning(check, "its last delivery: "+h.Trouble, "see its deliveries at "+at(page)+"; 401 is another secret than the config's, which "+create+" --new-secret sets"))
		default:
			found = append(found, good(check, "it leads to %s and tells of %s", to, strings.Join(h.Events, ", ")))
		}
	}
	return found
}

const (
	// deliveredWithin is how long a test delivery is waited for, and lookEvery how
	// often it is looked for.
	deliveredWithin = 20 * time.Second
	lookEvery       = 250 * time.Millisecond
)

// deliver has the host send a test delivery to each repository's webhook, one after
// the other, and sees what the service answers.
func (s *Setup) deliver(source string, host app.OpenHost, repositories []string) Check {
	const check = "test delivery"
	return Check{Area: "source " + source, Name: check, Limit: time.Duration(len(repositories)) * 2 * deliveredWithin, Run: func(ctx context.Context) []Result {
		hooks, ok := host.Host.(githost.Hooks)
		to := s.Config.HookURL(source)
		switch {
		case !ok || to == "":
			return []Result{unknown(check, "there is no webhook of ours that could be found")}
		case !s.Running:
			return []Result{needsService(check)}
		}
		var found []Result
		for _, repository := range repositories {
			found = append(found, s.deliverTo(ctx, hooks, source, repository, to))
		}
		return found
	}}
}

func (s *Setup) deliverTo(ctx context.Context, hooks githost.Hooks, source, repository, to string) Result {
	const check = "test delivery"
	all, err := hooks.Hooks(ctx, repository)
	if err != nil {
		return failed(check, repository+": "+err.Error(), "see the check of its webhook")
	}
	ours := hostsetup.Ours(all, to)
	if len(ours) == 0 {
		return unknown(check, "%s: it has no webhook of its own that leads here", repository)
	}
	before, err := s.counts(ctx)
	if err != nil {
		return unknown(check, "%s: what arrives is seen in the service's metrics: %v", repository, err)
	}
	if err := hooks.TestHook(ctx, repository, ours[0].ID); err != nil {
		return failed(check, repository+": "+err.Error(), "have it sent by hand at the host's page of the webhook")
	}
	end := s.Now().Add(deliveredWithin)
	for s.Now().Before(end) && wait(ctx, lookEvery) {
		now, err := s.counts(ctx)
		if err != nil {
			return unknown(check, "%s: %v", repository, err)
		}
		if r, over := arrived(before, now, source, repository); over {
			return r
		}
	}
	return failed(check, fmt.Sprintf("%s: the host was asked to send one, and nothing arrived within %v", repository, deliveredWithin),
		"see what the host says of it in the deliveries of the webhook; a proxy or firewall before "+to+" may hold it up")
}

// arrived compares the counts of a source's deliveries before and after a test; it
// is over once one was answered.
func arrived(before, now counts, source, repository string) (r Result, over bool) {
	const check, metric = "test delivery", "switchyard_deliveries_total"
	more := func(outcome string) bool {
		return now.sum(metric, "source", source, "outcome", outcome) > before.sum(metric, "source", source, "outcome", outcome)
	}
	for _, outcome := range now.values(metric, "outcome") {
		if !more(outcome) {
			continue
		}
		switch outcome {
		case webhook.OutcomeAccepted, webhook.OutcomeDuplicate, webhook.OutcomeIgnored:
			r, over = good(check, "%s: it arrived, and its secret is right (%s)", repository, outcome), true
		case webhook.OutcomeUnsigned:
			return failed(check, repository+": it arrived with another secret than the config's", fmt.Sprintf("switchyard hooks create --new-secret --repository %s:%s", source, repository)), true
		default:
			return failed(check, repository+": it arrived and was refused: "+outcome, "the service's log says why"), true
		}
	}
	return r, over
}

// wait waits, and reports whether ctx goes on.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
