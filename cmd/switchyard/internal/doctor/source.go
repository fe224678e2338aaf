package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/dispatch"
	"switchyard/githost"
)

// source looks at one git host: how we stand with it, and at its repositories.
func (s *Setup) source(name string) []Check {
	host, area := s.Hosts[name], "source "+name
	if host.Unable != nil {
		r := warning("token", host.Unable.Error(), "without it no statuses are written, deliveries that leave commits out are not completed, and nothing is audited")
		if host.Hints.Token == "" {
			r = good("token", "none is needed: this kind of host has none")
		}
		return []Check{{Area: area, Name: "token", Run: func(context.Context) []Result { return []Result{r} }}}
	}
	standings, able := host.Host.(githost.Standings)
	var checks []Check
	all := s.Repositories[name]
	if !able || len(all) == 0 {
		checks = append(checks, Check{Area: area, Name: "token", Run: func(context.Context) []Result {
			if able {
				return []Result{unknown("token", "no repository of it is named by the config or known by a delivery; name one with --repository %s:NAME", name)}
			}
			return []Result{unknown("token", "this kind of host does not say how we stand with it")}
		}})
	}
	for i, repository := range all {
		var standing *seen[githost.Standing]
		if able {
			standing = once(func(ctx context.Context) (githost.Standing, error) { return standings.Standing(ctx, repository) })
			if i == 0 {
				checks = append(checks, Check{Area: area, Name: "token", Run: func(ctx context.Context) []Result {
					got, err := standing.get(ctx)
					if err != nil {
						return []Result{s.refused("token", name, host.Hints, err)}
					}
					return s.standing(name, host.Hints, &got)
				}})
			}
		}
		checks = append(checks, Check{Area: "repository " + name + ":" + repository, Name: "permissions", Run: func(ctx context.Context) []Result {
			var found []Result
			if standing != nil {
				got, err := standing.get(ctx)
				switch {
				case err == nil:
					found = append(found, s.permissions(name, host.Hints, got.Missing))
				case i > 0: // else the source says it
					found = append(found, s.refused("permissions", name, host.Hints, err))
				}
			}
			return append(found, s.hook(ctx, name, repository, host)...)
		}})
	}
	if s.Deliver && len(all) > 0 {
		checks = append(checks, s.deliver(name, host, all))
	}
	return checks
}

// credential is the key in the config by which a source is asked.
func (s *Setup) credential(source string) string {
	if s.Config.Sources[source].App != nil {
		return "sources." + source + ".app"
	}
	return "sources." + source + ".token"
}

// refused says what an error of a host is about.
func (s *Setup) refused(check, source string, hints app.Hints, err error) Result {
	var throttled *dispatch.ThrottledError
	switch {
	case errors.As(err, &throttled):
		return warning(check, err.Error(), fmt.Sprintf("wait %v and look again", throttled.After.Round(time.Second)))
	case errors.Is(err, dispatch.ErrCannotAsk):
		return failed(check, err.Error(), "make or change it at "+at(hints.Token)+", and set "+s.credential(source))
	case errors.As(err, new(*dispatch.PermanentError)):
		return failed(check, err.Error(), "look at the repository's name, and at what "+s.credential(source)+" may see")
	}
	return failed(check, err.Error(), "look at the network between here and the host, and at sources."+source+".base_url")
}

// at is a page of a host.
func at(page string) string { return cmp.Or(page, "the host") }

// standing says what a host knows of our credential.
func (s *Setup) standing(source string, hints app.Hints, got *githost.Standing) []Result {
	now := s.Now()
	found := []Result{good("token", "accepted%s", strings.TrimSuffix(", as "+got.Login, ", as "))}
	if !got.Expires.IsZero() {
		left, day := got.Expires.Sub(now), got.Expires.UTC().Format("2006-01-02")
		fix := "make a new one at " + at(hints.Token) + ", and set " + s.credential(source)
		switch {
		case left <= 0:
			found = append(found, failed("expiry", "it ended on "+day, fix))
		case left < soon:
			found = append(found, warning("expiry", fmt.Sprintf("it ends on %s, in %s", day, count(int(left.Hours()/24), "day")), fix))
		default:
			found = append(found, good("expiry", "it ends on %s", day))
		}
	}
	if got.Limit > 0 {
		said := fmt.Sprintf("%d of %d calls are left until %s", got.Left, got.Limit, got.Reset.UTC().Format("15:04 UTC"))
		if got.Left < got.Limit/10 {
			found = append(found, warning("rate", said, "see what else uses the same "+strings.TrimPrefix(s.credential(source), "sources."+source+".")+"; until then the service waits"))
		} else {
			found = append(found, good("rate", "%s", said))
		}
	}
	if !got.Clock.IsZero() {
		found = append(found, clock(now, got.Clock, s.Config.Sources[source].App != nil))
	}
	return found
}

// soon is how long before its end a token is worth a warning.
const soon = 14 * 24 * time.Hour

// clock compares our time with a host's, which tells it in whole seconds. An App
// signs in with a token that counts from a minute ago and ends in nine: GitHub
// refuses it when our clock is further ahead than that minute ("Generating a JSON
// Web Token for a GitHub App").
func clock(now, theirs time.Time, signs bool) Result {
	off := now.Sub(theirs).Round(time.Second)
	direction := "ahead of"
	if off < 0 {
		direction, off = "behind", -off
	}
	said := fmt.Sprintf("our clock is %v %s the host's", off, direction)
	const fix = "have this machine's clock set by NTP: timedatectl set-ntp true"
	switch {
	case signs && off >= time.Minute:
		return failed("clock", said+", and an App's sign-in takes a minute", fix)
	case signs && off >= 30*time.Second, off >= 5*time.Minute:
		return warning("clock", said, fix)
	}
	return good("clock", "it is the host's, within %v", max(off, time.Second))
}

// permissions says what our credential lacks for a repository.
func (s *Setup) permissions(source string, hints app.Hints, missing []string) Result {
	const check = "permissions"
	if len(missing) == 0 {
		return good(check, "none is missing, as far as the host says")
	}
	return failed(check, "missing: "+strings.Join(missing, "; "), "give "+s.credential(source)+" that at "+at(hints.Token))
}

// delivered reports whether deliveries told of a repository.
func (s *Setup) delivered(source, repository string) bool {
	return slices.ContainsFunc(s.Told[source], func(name string) bool { return strings.EqualFold(name, repository) })
}
