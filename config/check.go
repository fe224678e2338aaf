package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchyard/build"
	"switchyard/dispatch"
	"switchyard/internal/nearest"
	"switchyard/router"
)

var (
	sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	// AWS's own rule for a state machine's name.
	machineName = regexp.MustCompile(`^[0-9A-Za-z_-]{1,80}$`)
	machineARN  = regexp.MustCompile(`^arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:stateMachine:[0-9A-Za-z_-]{1,80}(:[0-9A-Za-z_.-]{1,80})?$`)
	regionName  = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
	roleARN     = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]{1,512}$`)
)

// checkAll holds the decoded values against each other and the outside. It
// runs over what could be decoded even when something could not.
func (d *decoder) checkAll(c *Config) {
	d.checkServer(&c.Server)
	d.checkAWSSecrets(&c.AWSSecrets)
	for _, name := range sorted(c.Sources) {
		s := c.Sources[name]
		d.checkSource(name, &s)
		c.Sources[name] = s
	}
	d.checkEngine(&c.Engine)
	d.checkStatusEvents(c)
	d.checkQueues(c)
	for _, name := range sorted(c.StateMachines) {
		d.checkStateMachine(name, c.StateMachines[name], c)
	}
	for _, pattern := range sorted(c.Environments) {
		if _, err := router.CompilePattern(pattern); err != nil {
			d.failValue(join("environments", pattern), "no environment name or glob: %v", err)
		}
	}
	d.checkRoutes(c)
	d.checkMerges(c)
	d.checkComments(c)
	d.checkBuilds(c)
	d.checkServerless(c)
	d.checkBuildSecrets(c)
	if c.DataDir == "" {
		d.failValue("data_dir", "is empty")
	}
	if c.Retention.Journal < Duration(4*day) && !d.unresolved["retention.journal"] {
		d.failValue("retention.journal", "%v is too short: GitHub redelivers for 3 days, and a delivery that is forgotten runs again; keep at least 4d", c.Retention.Journal)
	}
	if c.Retention.Executions < Duration(4*day) && !d.unresolved["retention.executions"] {
		d.failValue("retention.executions", "%v is too short: a start that a crash left unrecorded is recognised by the engine's record of it, so that it does not run again; keep at least 4d", c.Retention.Executions)
	}
	if c.Limits.Body <= 0 {
		d.failValue("limits.body", "must be larger than 0")
	}
	if c.Limits.ReadTimeout <= 0 {
		d.failValue("limits.read_timeout", "must be longer than nothing")
	}
	d.checkURL("tracing.endpoint", c.Tracing.Endpoint)
}

func (d *decoder) checkServer(s *Server) {
	d.checkListen("server.listen", s.Listen)
	d.checkURL("server.public_url", s.PublicURL)
	s.PublicURL = strings.TrimRight(s.PublicURL, "/")
}

func (d *decoder) checkSource(name string, s *Source) {
	at := join("sources", name)
	if !sourceName.MatchString(name) {
		d.failValue(at, "a source's name is 1 to 63 of a-z, 0-9, _ and -: it stands in the URL /webhooks/%s", url.PathEscape(name))
	}
	if name == dispatch.ManualSource {
		d.failValue(at, "this name is taken by executions started by hand; choose another")
	}
	if s.Provider == "" && !d.unresolved[at+".provider"] {
		if _, known := providers[name]; known {
			s.Provider = name
		} else {
			d.failValue(at, "provider is missing: the name %q is none; set provider: %s", name, providerNames(sorted(providers)))
		}
	}
	d.checkCloneBase(at, s)
	d.checkKeys(at, s)
	if own, known := providers[s.Provider]; known {
		own.check(d, at, s)
	}
}

func (d *decoder) checkCloneBase(at string, s *Source) {
	d.checkURL(at+".clone_base", s.CloneBase)
	if strings.ContainsAny(s.CloneBase, "?#") && !d.unresolved[at+".clone_base"] {
		d.failValue(at+".clone_base", "holds a ? or #; the repository's name is put behind it")
	}
}

func (d *decoder) checkEngine(e *Engine) {
	if e.AWS != nil {
		d.checkURL("engine.aws.endpoint", e.AWS.Endpoint)
		d.checkRole("engine.aws", e.AWS.Role, e.AWS.ExternalID)
		for _, name := range sorted(e.AWS.Regions) {
			if !regionName.MatchString(name) {
				d.failValue(join("engine.aws.regions", name), "%q is not the name of a region, such as eu-west-1", name)
			}
		}
		return
	}
	const at = "engine.embedded"
	d.checkEnginePort(at, e.Embedded)
	d.checkServices(at+".aws", e.Embedded.AWS)
	for _, name := range sorted(e.Embedded.Functions) {
		f, at := e.Embedded.Functions[name], join(at+".functions", name)
		if (len(f.Exec) == 0) == (f.HTTP == "") && !d.failedUnder(at) {
			d.failValue(at, "needs either exec or http")
		}
		if len(f.Exec) > 0 && f.Exec[0] == "" {
			d.failValue(at+".exec", "the program's name is empty")
		}
		if f.HTTP == "" && f.Headers != nil {
			d.failValue(at+".headers", "only an http function has headers")
		}
		if len(f.Exec) == 0 && f.Environment != nil {
			d.failValue(at+".environment", "only an exec function has an environment")
		}
		d.checkURL(at+".http", f.HTTP)
	}
}

// checkRole checks the role and external_id at a path.
func (d *decoder) checkRole(at, role, externalID string) {
	switch {
	case role == "" && externalID != "":
		d.failValue(at+".external_id", "is for a role; set %s.role too", at)
	case role != "" && !roleARN.MatchString(role) && !d.unresolved[at+".role"]:
		d.failValue(at+".role", "%q is not the ARN of a role, such as arn:aws:iam::123456789012:role/switchyard", role)
	}
}

// leastBuildMemory is what a shell, git and the sandbox around them need.
const leastBuildMemory = 32 << 20

// checkBuilds holds what is asked of builds against their isolation.
func (d *decoder) checkBuilds(c *Config) {
	if c.Engine.Embedded == nil {
		return
	}
	const at = "engine.embedded.builds"
	b := c.Engine.Embedded.Builds
	if b.Memory > 0 && b.Memory < leastBuildMemory {
		d.failValue(at+".memory", "%s is not enough for a build to begin; set 32MB or more", b.Memory)
	}
	for key, paths := range map[string][]string{"visible": b.Visible, "writable": b.Writable} {
		for i, path := range paths {
			at := d.item(at+"."+key, i)
			if !filepath.IsAbs(path) && !d.unresolved[at] {
				d.failValue(at, "%q is not an absolute path", path)
			}
		}
	}
	for key, every := range map[string]*Duration{"check_mirrors": &c.Engine.Embedded.Builds.CheckMirrors, "keep_mirrors": &c.Engine.Embedded.Builds.KeepMirrors} {
		at := at + "." + key
		switch {
		case !d.has(at) || d.failedUnder(at):
		case *every == 0:
			*every = -1
		case *every < Duration(time.Minute):
			d.failValue(at, "is %v; it must be at least 1m, or 0", time.Duration(*every))
		}
	}
	d.checkBuildSizes(&c.Engine.Embedded.Builds, at)
	if b.Region != "" && !regionName.MatchString(b.Region) && !d.unresolved[at+".region"] {
		d.failValue(at+".region", "%q is not the name of a region, such as eu-west-1", b.Region)
	}
	for _, name := range sorted(c.Engine.Embedded.Projects) {
		p, at := c.Engine.Embedded.Projects[name], join("engine.embedded.projects", name)
		if p.Repository != "" && !d.unresolved[at+".repository"] {
			if err := build.CheckCloneURL(p.Repository); err != nil {
				d.failValue(at+".repository", "%v", err)
			}
		}
		for i, s := range p.Submodules {
			if at := d.item(at+".submodules", i); !d.unresolved[at] {
				if err := build.CheckSubmodule(s); err != nil {
					d.failValue(at, "%v", err)
				}
			}
		}
	}
	d.checkContainer(c, at)
	if b.Isolation != "none" {
		return
	}
	for _, name := range sorted(c.Engine.Embedded.Projects) {
		if c.Engine.Embedded.Projects[name].Network == "none" {
			d.failValue(join("engine.embedded.projects", name)+".network", "none needs isolated builds, and %s.isolation is none", at)
		}
	}
	for i := range c.Routes {
		if c.Routes[i].TakesForks() {
			d.failValue(fmt.Sprintf("routes[%d].forks", i), "%s runs what strangers write, which needs isolated builds; set %s.isolation to bubblewrap, or forks to never", c.Routes[i].Forks, at)
		}
	}
}

// checkBuildSizes reads a size of 0: it is no limit that a build could keep to, and
// turns off what there can be without.
func (d *decoder) checkBuildSizes(b *Builds, at string) {
	for key, size := range map[string]*Size{"cache": &b.Cache, "reserve": &b.Reserve} {
		if at := at + "." + key; *size == 0 && d.has(at) && !d.failedUnder(at) && !d.unresolved[at] {
			*size = -1
		}
	}
	for key, size := range map[string]Size{"disk": b.Disk, "memory": b.Memory, "artifacts": b.Artifacts, "log": b.Log} {
		if at := at + "." + key; size == 0 && d.has(at) && !d.failedUnder(at) && !d.unresolved[at] {
			d.failValue(at, "0 leaves builds nothing; leave it out for the default, or set how much they may take")
		}
	}
}

// checkContainer holds images of builds against what runs them.
func (d *decoder) checkContainer(c *Config, at string) {
	b := c.Engine.Embedded.Builds
	image := func(at, name string) {
		if d.has(at) && !d.unresolved[at] && name == "" || strings.HasPrefix(name, "-") || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			d.failValue(at, "%q is not the name of an image, such as docker.io/library/debian:12", name)
		}
	}
	if b.Container != nil {
		if b.Isolation != "" && b.Isolation != "auto" {
			d.failValue(at+".isolation", "%s is not for builds in containers, which isolate them; leave it out, or leave out %s.container", b.Isolation, at)
		}
		image(at+".container.image", b.Container.Image)
	}
	for _, name := range sorted(c.Engine.Embedded.Projects) {
		p, at := c.Engine.Embedded.Projects[name], join("engine.embedded.projects", name)+".image"
		switch {
		case p.Image == "":
		case b.Container == nil:
			d.failValue(at, "an image needs containers; set engine.embedded.builds.container: {image: …}, the image of all other builds")
		default:
			image(at, p.Image)
		}
	}
}

// TakesForks reports whether pull requests from forks can start the route.
func (r *Route) TakesForks() bool { return r.Forks != "" && r.Forks != "never" }

func (d *decoder) checkStateMachine(name string, m StateMachine, c *Config) {
	at := join("state_machines", name)
	if !machineName.MatchString(name) {
		d.failValue(at, "a state machine's name is 1 to 80 letters, digits, _ or -")
	}
	d.checkRole(at, m.Role, m.ExternalID)
	if m.Role != "" && c.Engine.AWS == nil {
		d.failValue(at+".role", "is for engine aws; the embedded engine runs on this machine")
	}
	if m.Definition == "" && m.Substitutions != nil {
		d.failValue(at+".substitutions", "are for the placeholders of a definition; give it, or leave them out")
	}
	switch {
	case m.ARN != "" && m.Definition != "":
		d.failValue(at, "definition and arn exclude each other; keep one")
	case m.ARN != "":
		if !machineARN.MatchString(m.ARN) && !d.unresolved[at+".arn"] {
			d.failValue(at+".arn", "%q is not the ARN of a state machine, a version or an alias", m.ARN)
		}
	case m.Definition != "":
		if c.Engine.AWS != nil {
			d.failValue(at+".definition", "engine aws starts what is deployed there; give the arn")
			return
		}
		d.checkDefinition(at+".definition", m, c)
	default:
		if !d.failedUnder(at) {
			d.failValue(at, "needs either definition or arn")
		}
	}
}

func (d *decoder) checkRoutes(c *Config) {
	first := map[string]int{}
	for i := range c.Routes {
		r, at := &c.Routes[i], fmt.Sprintf("routes[%d]", i)
		if j, ok := first[r.Name]; ok && r.Name != "" {
			d.failValue(at+".name", "%q is the name of routes[%d] too", r.Name, j)
		} else {
			first[r.Name] = i
		}
		if _, ok := c.StateMachines[r.StateMachine]; !ok && d.has(at+".state_machine") && !d.unresolved[at+".state_machine"] {
			d.failValue(at+".state_machine", "%s", unknownName("state_machines", r.StateMachine, sorted(c.StateMachines)))
		}
		d.checkRouteSources(at, r.Sources, c)
	}
	if d.failedUnder("routes") || d.failedUnder("components") {
		return // the router would only say it again
	}
	r, err := router.New(c.RouterConfig())
	if err != nil {
		for _, problem := range problems(err) {
			d.failRouter(problem)
		}
		return
	}
	c.warnings, c.samples = append(c.warnings, r.Warnings()...), r.Samples()
}

// problems takes apart what [errors.Join] has joined.
func problems(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// failRouter records what the router says of a route or component, at the line
// of its key or of the closest one above that is in the file.
func (d *decoder) failRouter(problem error) {
	at := ""
	keyed := new(router.KeyError)
	if errors.As(problem, &keyed) {
		at = keyed.Path
	}
	for at != "" && !d.has(at) {
		at = at[:max(0, strings.LastIndexAny(at, ".["))]
	}
	d.fail(d.place(at), "", "%s", d.asWritten(at, problem.Error()))
}

func (d *decoder) checkRouteSources(at string, sources []string, c *Config) {
	for i, s := range sources {
		pattern := strings.TrimPrefix(s, "!")
		if strings.ContainsAny(pattern, "*?[+\\") {
			continue
		}
		if _, ok := c.Sources[pattern]; !ok {
			d.failValue(d.item(at+".sources", i), "%s", unknownName("sources", pattern, sorted(c.Sources)))
		}
	}
}

func unknownName(section, name string, known []string) string {
	text := fmt.Sprintf("%s has no %q", section, name)
	if near := nearest.Name(name, known); near != "" {
		return text + "; did you mean " + near + "?"
	}
	if len(known) > 0 {
		return text + "; it has " + strings.Join(known, ", ")
	}
	return text
}

func (d *decoder) checkListen(at, address string) {
	if d.unresolved[at] {
		return
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		d.failValue(at, "%q is not an address to listen on; write host:port, such as 127.0.0.1:8080", address)
	}
}

func (d *decoder) checkURL(at, text string) {
	if text == "" || d.unresolved[at] {
		return
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		if strings.Contains(text, "@") {
			text = "…" + text[strings.LastIndexByte(text, '@'):] // it may have a password
		}
		d.failValue(at, "%q is not an http or https URL", text)
		return
	}
	if u.User != nil {
		d.failValue(at, "holds a user or password; a URL is shown and logged")
	}
}

// has reports whether the file has a value at path.
func (d *decoder) has(path string) bool {
	_, ok := d.places[path]
	return ok
}

// failedUnder reports whether something at or below path is wrong already, so
// that what follows from it is not reported on top.
func (d *decoder) failedUnder(path string) bool {
	return slices.ContainsFunc(d.failed, func(e *Error) bool {
		rest, ok := strings.CutPrefix(e.Path, path)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

func sorted[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
