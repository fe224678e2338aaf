package pipelines

import (
	"bytes"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"switchyard/asl"
	"switchyard/asl/graph"
)

//go:embed */*.tmpl
var templates embed.FS

// Generated are the pipelines that are written for components, by the names of their
// folders.
var Generated = []string{"deploy", "services"}

// Component is a part of what a generated pipeline deploys.
type Component struct {
	// Name is what skip_<name> and override_branches call it.
	Name string
	// Project is the CodeBuild project that builds and deploys it. Several
	// components of one repository may share one.
	Project string
}

// DefaultComponents are those of the generated pipelines as they are shipped.
var DefaultComponents = []Component{
	{"console_v1", "project-console-v1"}, {"console_v2", "project-console-v2"},
	{"api_v1", "project-api-v1"}, {"api_v2", "project-api-v2"},
}

// Flag is the key of the input that skips the component.
func (c Component) Flag() string {
	return "skip_" + strings.ToLower(strings.ReplaceAll(c.Name, "-", "_"))
}

// Commit is a commit's ID for tests of the component.
func (c Component) Commit() string {
	sum := sha1.Sum([]byte(c.Name))
	return hex.EncodeToString(sum[:])
}

// maxComponents keeps the cause of a failure, which tells of each component, below
// Step Functions' limit of 32,768 characters.
const maxComponents = 60

var (
	// A component's name is part of the names of states, which have 80 characters
	// at most, and of JSONata paths.
	componentName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,59}$`)
	// https://docs.aws.amazon.com/codebuild/latest/APIReference/API_CreateProject.html
	projectName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{1,254}$`)
)

// ParseComponents reads a list such as "api_v1=project-api-v1,web": the names of
// components, each with its project where that has another name.
func ParseComponents(list string) ([]Component, error) {
	var all []Component
	for part := range strings.SplitSeq(list, ",") {
		name, project, named := strings.Cut(strings.TrimSpace(part), "=")
		if !named {
			project = name
		}
		all = append(all, Component{Name: name, Project: project})
	}
	return all, checkComponents(all)
}

func checkComponents(all []Component) error {
	var wrong []error
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if len(all) == 0 || len(all) > maxComponents {
		complain("%d components; there may be 1 to %d", len(all), maxComponents)
	}
	flags, names := map[string]string{}, map[string]bool{}
	for _, c := range all {
		other, taken := flags[c.Flag()]
		switch {
		case !componentName.MatchString(c.Name):
			complain("%q cannot be a component's name: letters, digits, _ and -, beginning with a letter, 60 at most", c.Name)
			continue
		case !projectName.MatchString(c.Project):
			complain("component %s: %q cannot be a project's name: letters, digits, _ and -, 2 to 255 of them", c.Name, c.Project)
		case taken && other == c.Name:
			complain("component %s is there twice", c.Name)
		case taken:
			complain("components %s and %s would both be skipped by %s; rename one", other, c.Name, c.Flag())
		}
		flags[c.Flag()], names[c.Name] = c.Name, true
	}
	for _, c := range all {
		if names[c.Project] && c.Project != c.Name {
			complain("the project of component %s has the name of another component, %s: an override could mean either", c.Name, c.Project)
		}
	}
	return errors.Join(wrong...)
}

// view is what the templates see.
type view struct {
	Components []Component
	// Graph is the definition as a Mermaid flowchart.
	Graph string
}

// Most is how many there may be of anything that is told in the cause of a failure.
func (v view) Most() int { return maxComponents }

func (v view) First() Component  { return v.Components[0] }
func (v view) Last() Component   { return v.Components[len(v.Components)-1] }
func (v view) Rest() []Component { return v.Components[1:] }

// Projects are the names of all projects, each once.
func (v view) Projects() []string {
	var names []string
	for _, c := range v.Components {
		if !slices.Contains(names, c.Project) {
			names = append(names, c.Project)
		}
	}
	return names
}

// Of are the components that a project builds.
func (v view) Of(project string) []Component {
	return slices.DeleteFunc(slices.Clone(v.Components), func(c Component) bool { return c.Project != project })
}

// Shared are the components whose project builds others too.
func (v view) Shared() []Component {
	return slices.DeleteFunc(slices.Clone(v.Components), func(c Component) bool { return len(v.Of(c.Project)) < 2 })
}

// labelled is a component's build: its result has the component's name under the
// label, and a failure leads to the state Failed.
type labelled struct {
	Component
	Label, Failed string
}

// Generate writes the files of one of the [Generated] pipelines for these
// components, by their names. Errors are about the components.
func Generate(pipeline string, components []Component) (map[string][]byte, error) {
	if err := checkComponents(components); err != nil {
		return nil, err
	}
	wrong := func(err error) error { return fmt.Errorf("templates of the pipeline %s: %w", pipeline, err) }
	all, err := template.New("").Delims("<<", ">>").Funcs(template.FuncMap{
		"buildRetry": func() string { return buildRetry },
		"whyFailed":  func() string { return quoted(whyFailed) },
		"labelled":   func(label string, c Component, failed string) labelled { return labelled{c, label, failed} },
	}).ParseFS(templates, "templates/*.tmpl", pipeline+"/*.tmpl")
	if err != nil {
		return nil, wrong(err)
	}
	v := view{Components: components}
	files := map[string][]byte{}
	write := func(name string) error {
		var b bytes.Buffer
		if err := all.ExecuteTemplate(&b, name+".tmpl", v); err != nil {
			return wrong(err)
		}
		files[name] = b.Bytes()
		return nil
	}
	definition := pipeline + ".asl.json"
	if err := write(definition); err != nil {
		return nil, err
	}
	m, err := asl.Parse(files[definition])
	if err != nil {
		return nil, wrong(err)
	}
	v.Graph = graph.Mermaid(m)
	for _, name := range []string{"README.md", pipeline + ".test.yaml", "policy.json", Route} {
		if err := write(name); err != nil {
			return nil, err
		}
	}
	return files, nil
}
