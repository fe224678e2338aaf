// Package deploy_test holds what installs Switchyard against what the program does.
package deploy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// permission is an entry of iam.yaml.
type permission struct {
	Call     string `yaml:"call"`
	Action   string `yaml:"action"`
	Function bool   `yaml:"function"`
	Server   bool   `yaml:"server"`
	Doctor   bool   `yaml:"doctor"`
	Release  bool   `yaml:"release"`
	For      string `yaml:"for"`
}

func (p permission) action() string {
	if p.Action != "" {
		return p.Action
	}
	return strings.Replace(p.Call, ".", ":", 1)
}

type permissions struct {
	Calls    []permission `yaml:"calls"`
	Platform []permission `yaml:"platform"`
}

func readPermissions(t *testing.T) permissions {
	t.Helper()
	text, err := os.ReadFile("iam.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var p permissions
	if err := yaml.UnmarshalWithOptions(text, &p, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, c := range slices.Concat(p.Calls, p.Platform) {
		if !c.Function && !c.Server && !c.Doctor && !c.Release || c.For == "" {
			t.Errorf("iam.yaml: %s%s needs function, server, doctor or release, and what it is for", c.Call, c.Action)
		}
	}
	return p
}

// actions are those of the function, or of a server.
func (p permissions) actions(function bool) map[string]bool {
	found := map[string]bool{}
	for _, c := range slices.Concat(p.Calls, p.Platform) {
		if function && c.Function || !function && c.Server {
			found[c.action()] = true
		}
	}
	return found
}

const services = "github.com/aws/aws-sdk-go-v2/service/"

// calls notes which operations of AWS a file's code can call, and which it names
// in an interface or signature alone. Every operation takes a struct that is named
// after it, so one that is called is one whose struct is made somewhere.
func calls(file *ast.File, made, named map[string]bool) {
	imports := map[string]string{}
	assumes := ""
	for _, i := range file.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue
		}
		name := path[strings.LastIndexByte(path, '/')+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		if service, ok := strings.CutPrefix(path, services); ok && !strings.Contains(service, "/") {
			imports[name] = service
		}
		if strings.HasSuffix(path, "/credentials/stscreds") {
			assumes = name
		}
	}
	operation := func(x ast.Expr) string {
		s, ok := x.(*ast.SelectorExpr)
		if !ok {
			return ""
		}
		pkg, ok := s.X.(*ast.Ident)
		if !ok {
			return ""
		}
		if pkg.Name == assumes && s.Sel.Name == "NewAssumeRoleProvider" {
			return "sts.AssumeRole"
		}
		op, isInput := strings.CutSuffix(s.Sel.Name, "Input")
		if service := imports[pkg.Name]; service != "" && isInput {
			return service + "." + op
		}
		return ""
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			made[operation(n.Type)] = true
		case *ast.ValueSpec:
			made[operation(n.Type)] = true
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "new" && len(n.Args) == 1 {
				made[operation(n.Args[0])] = true
			}
			if op := operation(n.Fun); op == "sts.AssumeRole" {
				made[op] = true
			}
		case *ast.SelectorExpr:
			named[operation(n)] = true
		}
		return true
	})
	delete(made, "")
	delete(named, "")
}

func TestCallsAreFound(t *testing.T) {
	for name, c := range map[string]struct{ imports, body, made, named string }{
		"literal":    {`"` + services + `sqs"`, `func f() { call(&sqs.SendMessageInput{}) }`, "sqs.SendMessage", "sqs.SendMessage"},
		"renamed":    {`q "` + services + `sqs"`, `var in = q.SendMessageInput{}`, "sqs.SendMessage", "sqs.SendMessage"},
		"new":        {`"` + services + `s3"`, `var in = new(s3.HeadBucketInput)`, "s3.HeadBucket", "s3.HeadBucket"},
		"variable":   {`"` + services + `s3"`, `var in s3.HeadBucketInput`, "s3.HeadBucket", "s3.HeadBucket"},
		"named only": {`"` + services + `s3"`, `type api interface { Head(*s3.HeadBucketInput) }`, "", "s3.HeadBucket"},
		"types":      {`"` + services + `s3/types"`, `var in types.FooInput`, "", ""},
		"another":    {`"example.com/s3"`, `var in s3.HeadBucketInput`, "", ""},
		"role":       {`"github.com/aws/aws-sdk-go-v2/credentials/stscreds"`, `var p = stscreds.NewAssumeRoleProvider(nil, "")`, "sts.AssumeRole", "sts.AssumeRole"},
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nimport "+c.imports+"\n"+c.body, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		made, named := map[string]bool{}, map[string]bool{}
		calls(file, made, named)
		got := [2]string{strings.Join(slices.Sorted(maps.Keys(made)), " "), strings.Join(slices.Sorted(maps.Keys(named)), " ")}
		if got != [2]string{c.made, c.named} {
			t.Errorf("%s: made and named %q", name, got)
		}
	}
}

// programCalls are the operations that the program's own packages can call.
func programCalls(t *testing.T) map[string]bool {
	t.Helper()
	made, named := map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch rel := filepath.ToSlash(path); {
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && rel != ".." || d.Name() == "testdata" || rel == "../bench" || rel == "../bin"):
			return filepath.SkipDir
		// Stand-ins for tests.
		case d.IsDir() && (rel == "../internal/codecommittest" || rel == "../internal/awstest"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		calls(file, made, named)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for op := range named {
		if !made[op] {
			t.Errorf("%s is named in an interface and called by nothing", op)
		}
	}
	return made
}

// Every operation that the code can call has its action in iam.yaml, and none is
// there that nothing calls.
func TestPermissionsAreThoseOfTheCode(t *testing.T) {
	listed := map[string]bool{}
	for _, c := range readPermissions(t).Calls {
		if listed[c.Call] {
			t.Errorf("iam.yaml lists %s twice", c.Call)
		}
		listed[c.Call] = true
	}
	if diff := cmp.Diff(programCalls(t), listed); diff != "" {
		t.Errorf("calls in the code (-) and in iam.yaml (+); change iam.yaml, the policies in sam/ and the table in docs/aws.md:\n%s", diff)
	}
}

// What deploy/lambda calls itself, the function calls.
func TestFunctionMayDoWhatItsPackageCalls(t *testing.T) {
	files, err := filepath.Glob("lambda/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	made, named := map[string]bool{}, map[string]bool{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		calls(file, made, named)
	}
	for _, c := range readPermissions(t).Calls {
		if made[c.Call] && !c.Function {
			t.Errorf("iam.yaml: %s is called by deploy/lambda, so it needs function: true", c.Call)
		}
	}
}

var actionName = regexp.MustCompile(`^[a-z0-9-]+:[A-Z][A-Za-z]+$`)

// policy are the actions that resources of a template allow.
func policy(t *testing.T, path string, of func(name, kind string) bool) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Type       string         `yaml:"Type"`
			Properties map[string]any `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for name, r := range template.Resources {
		if !of(name, r.Type) {
			continue
		}
		for _, key := range []string{"Policies", "PolicyDocument"} {
			for _, action := range allowed(r.Properties[key]) {
				if !actionName.MatchString(action) {
					t.Errorf("%s: %s allows %q; name single actions", path, name, action)
				}
				found[action] = true
			}
		}
	}
	return found
}

// allowed are the actions of all statements in a value.
func allowed(value any) []string {
	var found []string
	switch v := value.(type) {
	case []any:
		for _, x := range v {
			found = append(found, allowed(x)...)
		}
	case map[string]any:
		if v["Effect"] == "Allow" {
			switch actions := v["Action"].(type) {
			case string:
				return []string{actions}
			case []any:
				for _, a := range actions {
					text, _ := a.(string)
					found = append(found, text)
				}
			}
			return found
		}
		for _, x := range v {
			found = append(found, allowed(x)...)
		}
	}
	return found
}

func TestPoliciesAreLeast(t *testing.T) {
	p := readPermissions(t)
	for path, c := range map[string]struct {
		role     string
		function bool
	}{
		"sam/serverless.yaml": {"Role", true},
		"sam/server.yaml":     {"TaskRole", false},
	} {
		got := policy(t, path, func(name, kind string) bool { return name == c.role || kind == "AWS::IAM::Policy" })
		if diff := cmp.Diff(p.actions(c.function), got); diff != "" {
			t.Errorf("actions of iam.yaml (-) and of %s in %s (+):\n%s", c.role, path, diff)
		}
	}
}

// The table of permissions in docs/aws.md has them all and no others, in its
// column for the function and in that for a server.
func TestDocumentedPermissions(t *testing.T) {
	text, err := os.ReadFile("../docs/aws.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Permissions\n")
	section, _, _ = strings.Cut(section, "\n## ")
	inCode := regexp.MustCompile("`([a-z0-9]+:[A-Z][A-Za-z]+)`")
	function, server := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			continue
		}
		for _, m := range inCode.FindAllStringSubmatch(cells[2], -1) {
			function[m[1]] = true
			if strings.Contains(cells[3], "the same") {
				server[m[1]] = true
			}
		}
		for _, m := range inCode.FindAllStringSubmatch(cells[3], -1) {
			server[m[1]] = true
		}
	}
	p := readPermissions(t)
	if diff := cmp.Diff(p.actions(true), function); diff != "" {
		t.Errorf("actions of iam.yaml (-) and of the column serverless (+):\n%s", diff)
	}
	if diff := cmp.Diff(p.actions(false), server); diff != "" {
		t.Errorf("actions of iam.yaml (-) and of the column server (+):\n%s", diff)
	}
}

// What doctor may need beside the service's own permissions is in docs/aws.md, and
// nothing else is; and what its checks call is marked as its own.
func TestDocumentedPermissionsOfDoctor(t *testing.T) {
	p := readPermissions(t)
	want := map[string]bool{}
	for _, c := range p.Calls {
		if c.Doctor && !c.Function && !c.Server && c.Call != "sts.GetCallerIdentity" {
			want[c.action()] = true
		}
	}
	if diff := cmp.Diff(want, documented(t, "../docs/aws.md", "\n`switchyard doctor --aws` ")); diff != "" {
		t.Errorf("what iam.yaml has for doctor alone (-) and docs/aws.md says (+):\n%s", diff)
	}
	checkMarked(t, "doctor", "../cmd/switchyard/internal/doctor/*.go", func(c permission) bool { return c.Doctor })
}

// What `switchyard deploy` needs is in docs/releases.md, and is marked.
func TestDocumentedPermissionsOfReleases(t *testing.T) {
	want := map[string]bool{}
	for _, c := range readPermissions(t).Calls {
		if c.Release {
			want[c.action()] = true
		}
	}
	if diff := cmp.Diff(want, documented(t, "../docs/releases.md", "\nThe credentials ")); diff != "" {
		t.Errorf("what iam.yaml has for releases (-) and docs/releases.md says (+):\n%s", diff)
	}
	checkMarked(t, "release", "release/*.go", func(c permission) bool { return c.Release })
}

// documented are the actions that a paragraph names.
func documented(t *testing.T, path, begins string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), begins)
	section, _, _ = strings.Cut(section, "\n\n")
	found := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z0-9]+:[A-Z][A-Za-z]+)`").FindAllStringSubmatch(section, -1) {
		found[m[1]] = true
	}
	return found
}

// checkMarked compares what a package calls with what iam.yaml marks as its own.
func checkMarked(t *testing.T, mark, pattern string, is func(permission) bool) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	made, named := map[string]bool{}, map[string]bool{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		calls(file, made, named)
	}
	marked := map[string]bool{}
	for _, c := range readPermissions(t).Calls {
		if is(c) {
			marked[c.Call] = true
		}
	}
	if diff := cmp.Diff(made, marked); diff != "" {
		t.Errorf("calls in %s (-) and those with %s: true in iam.yaml (+):\n%s", pattern, mark, diff)
	}
}

// The Terraform modules take the actions from iam.yaml by service: each service
// must have a grant, or its actions would be left out in silence.
func TestTerraformGrantsEveryService(t *testing.T) {
	p := readPermissions(t)
	for path, function := range map[string]bool{"terraform/serverless/role.tf": true, "terraform/server/roles.tf": false} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for action := range p.actions(function) {
			service, _, _ := strings.Cut(action, ":")
			if !strings.Contains(string(text), `local.by_service["`+service+`"]`) {
				t.Errorf("%s grants nothing of %s, and iam.yaml has %s", path, service, action)
			}
		}
	}
}
