package definition

import (
	"strings"
	"testing"

	"switchyard/asl"
)

// shown are the findings as a person sees them.
func shown(name string, d *Definition) string {
	var lines []string
	for _, f := range d.Findings {
		lines = append(lines, f.Format(name))
	}
	return strings.Join(lines, "\n")
}

const inYAML = `# build, then wait
StartAt: Build
States:
  Build: {Type: Pass, Result: {n: 0x1F, f: 1.50, yes: yes, none: ~, at: 2016-03-14T01:59:00Z, "quo\"te": 'it''s'}, Next: Pause}
  Pause:
    Type: Wait
    Comment: |
      two
      lines
    Seconds: 5
    Next: Call
  Call:
    Type: Task
    Resource: arn:aws:lambda:eu-west-1:123456789012:function:f
    Retry: &again
      - &slow {ErrorEquals: [States.Timeout], MaxAttempts: 2}
      - {<<: *slow, ErrorEquals: [Busy]}
    Next: More
  More:
    Type: Task
    Resource: arn:aws:lambda:eu-west-1:123456789012:function:g
    Retry: *again
    End: true
`

func TestYAMLIsTheSameDefinition(t *testing.T) {
	d := Read("d.asl.yaml", []byte(inYAML), nil)
	if len(d.Findings) > 0 {
		t.Fatal(shown("d.asl.yaml", d))
	}
	m, err := asl.Parse([]byte(d.JSON))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.State("Build").Pass.Result.JSON(), `{"n":31,"f":1.5,"yes":"yes","none":null,"at":"2016-03-14T01:59:00Z","quo\"te":"it's"}`; got != want {
		t.Errorf("result %s, want %s", got, want)
	}
	if got := m.State("Pause").Comment; got != "two\nlines\n" {
		t.Errorf("comment %q", got)
	}
	for _, name := range []string{"Call", "More"} {
		r := m.State(name).Retry
		if len(r) != 2 || r[0].ErrorEquals[0] != "States.Timeout" || r[1].ErrorEquals[0] != "Busy" || r[1].MaxAttempts != 2 {
			t.Errorf("%s retries %+v", name, r)
		}
	}
	if again := Read("d.asl.json", []byte(d.JSON), nil); again.Failed() || again.JSON != d.JSON {
		t.Errorf("as JSON: %s", shown("d.asl.json", again))
	}
}

func TestWhatIsYAML(t *testing.T) {
	const flow = "{StartAt: D, States: {D: {Type: Succeed}}}"
	const block = "StartAt: D\nStates: {D: {Type: Succeed}}\n"
	const json = "{\"StartAt\":\"D\",\n\t\"States\":{\"D\":{\"Type\":\"Succeed\"}}}\n"
	for _, tt := range []struct {
		name, text string
		fails      string
	}{
		{"d.asl.yaml", block, ""},
		{"d.yml", flow, ""},
		{"d.yml", json, ""},
		{"-", block, ""},
		{"-", json, ""},
		{"d.asl", "\ufeff" + json, ""},
		{"d.yaml", "\ufeff" + block, ""},
		{"d.asl.json", json, ""},
		{"d.asl.json", block, "d.asl.json:1:1: unexpected 'S', expected a value: a definition in YAML needs a file that is named .yaml (INVALID_JSON_DESCRIPTION)"},
		{"-", flow, "-:1:2: unexpected 'S', expected a key in double quotes (INVALID_JSON_DESCRIPTION)"},
		{"-", "# nothing\n", "-: The definition is empty (MISSING_DESCRIPTION)"},
		{"d.yaml", "", "d.yaml: The definition is empty (MISSING_DESCRIPTION)"},
		{"d.yaml", "just text", "d.yaml:1:1: The definition must be a JSON object, not string (INVALID_JSON_DESCRIPTION)"},
	} {
		d := Read(tt.name, []byte(tt.text), nil)
		if got := shown(tt.name, d); got != tt.fails {
			t.Errorf("%s with %q: got %q, want %q", tt.name, tt.text, got, tt.fails)
		}
	}
}

func TestFindingsPointIntoTheYAML(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"value", "StartAt: W\nStates:\n  W:\n    Type: Wait\n    Seconds: soon\n    End: true\n", `d.yaml:5:14: state "W": Expected value of type Integer: it is of type string (SCHEMA_VALIDATION_FAILED at /States/W/Seconds)`},
		{"key", "StartAt: W\nStates:\n  W:\n    Type: Succeed\n    Secs: 1\n", `d.yaml:5:5: state "W": Field 'Secs' is not supported (SCHEMA_VALIDATION_FAILED at /States/W)`},
		{"element", "StartAt: P\nStates:\n  P:\n    Type: Parallel\n    End: true\n    Branches:\n      - StartAt: A\n        States:\n          A: {Type: Pass}\n", `d.yaml:9:11: state "A": These fields are required: [Next] or [End] (SCHEMA_VALIDATION_FAILED at /States/P/Branches[0]/States/A)`},
		{"letters of more than a byte", "StartAt: é\nStates: {é: {Type: Succeed, Ende: 1}}\n", `d.yaml:2:29: state "é": Field 'Ende' is not supported (SCHEMA_VALIDATION_FAILED at /States/é)`},
		{"key that is there twice", "StartAt: D\nComment: a\nComment: b\nStates: {D: {Type: Succeed}}\n", `d.yaml:3:1: warning: The key is repeated; only the last one counts (DUPLICATE_KEY)`},
		{"no YAML", "StartAt: [D\n", "d.yaml:1:10: no valid YAML: sequence end token ']' not found (INVALID_JSON_DESCRIPTION)"},
		{"tag of CloudFormation", "StartAt: D\nStates: {D: {Type: Succeed, Comment: !Ref X}}\n", "d.yaml:2:38: tags such as !Ref are for templates; write the value that it stands for, or a placeholder such as ${Name} (INVALID_JSON_DESCRIPTION)"},
		{"no such anchor", "StartAt: *a\n", "d.yaml:1:10: there is no anchor &a (INVALID_JSON_DESCRIPTION)"},
		{"infinity", "StartAt: D\nStates: {D: {Type: Pass, Result: .inf, End: true}}\n", `d.yaml:2:34: ".inf" has no counterpart in JSON (INVALID_JSON_DESCRIPTION)`},
		{"alias as a key", "a: &a x\n*a : 1\n", "d.yaml:2:1: a key must be a plain text (INVALID_JSON_DESCRIPTION)"},
		{"merge of a text", "<<: a\n", "d.yaml:1:5: a merge key (<<) needs an alias of keys with values (INVALID_JSON_DESCRIPTION)"},
		{"anchor in itself", "a: &a [*a]\n", "d.yaml:1:8: nested too deep, or too large once aliases are filled in (INVALID_JSON_DESCRIPTION)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := Read("d.yaml", []byte(tt.text), nil)
			if got := shown("d.yaml", d); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAliasesCannotGrowWithoutEnd(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [1,2,3,4,5,6,7,8,9]\n")
	for i := range 9 {
		n, m := string(rune('0'+i)), string(rune('1'+i))
		b.WriteString("a" + m + ": &a" + m + " [*a" + n + strings.Repeat(",*a"+n, 8) + "]\n")
	}
	for _, text := range []string{b.String(), strings.ReplaceAll(strings.ReplaceAll(b.String(), "[*", "{<<: [*"), "]\n", "]}\n")} {
		if d := Read("d.yaml", []byte(text), nil); !d.Failed() || len(d.JSON) > 0 {
			t.Errorf("%d bytes of JSON, %s", len(d.JSON), shown("d.yaml", d))
		}
	}
}

func TestPlaceholdersAreFilledIn(t *testing.T) {
	values := map[string]string{"Fn": "arn:aws:lambda:eu-west-1:123456789012:function:f", "Secs": "90", "Who": "a \"b\"\n: c", "AWS::Region": "eu-west-1", "on": "true", "aws_x.y": "z", "unused": "1"}
	for name, text := range map[string]string{
		"d.json": `{"StartAt":"P","States":{"P":{"Type":"Pass","Result":{"n":${Secs},"b":${on},"t":"${Secs}","w":"<${Who}>","r":"${AWS::Region}/${ aws_x.y }","k${Secs}":1,"keep":"$${Fn} \"${Who}\""},"Next":"W"},
			"W":{"Type":"Wait","Seconds":${Secs},"Next":"T"},"T":{"Type":"Task","Resource":"${Fn}","End":true}}}`,
		"d.yaml": `
StartAt: P
States:
  P: {Type: Pass, Result: {n: ${Secs}, b: ${on}, t: "${Secs}", w: <${Who}>, r: ${AWS::Region}/${ aws_x.y }, k${Secs}: 1, keep: '$${Fn} "${Who}"'}, Next: W}
  W: {Type: Wait, Seconds: ${Secs}, Next: T}
  T: {Type: Task, Resource: ${Fn}, End: true}
`} {
		d := Read(name, []byte(text), values)
		if len(d.Findings) > 0 {
			t.Errorf("%s", shown(name, d))
			continue
		}
		m, err := asl.Parse([]byte(d.JSON))
		if err != nil {
			t.Fatal(err)
		}
		want := `{"n":90,"b":true,"t":"90","w":"<a \"b\"\n: c>","r":"eu-west-1/z","k90":1,"keep":"$${Fn} \"a \"b\"\n: c\""}`
		if got := m.State("P").Pass.Result.JSON(); got != want {
			t.Errorf("%s: result\n%s\nwant\n%s", name, got, want)
		}
		if m.State("T").Task.Resource != values["Fn"] {
			t.Errorf("%s: resource %s", name, m.State("T").Task.Resource)
		}
	}
}

func TestPlaceholdersWithoutAValueAreNamed(t *testing.T) {
	const hint = " is a placeholder that has no value"
	for _, tt := range []struct{ name, text, want string }{
		{"d.json", `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"${Build}","End":true}}}`,
			`d.json:1:56: state "T": Value is not a valid resource ARN: ${Build} is a placeholder that has no value; give it one with --substitute Build=VALUE or, in a config, under substitutions (SCHEMA_VALIDATION_FAILED at /States/T/Resource)`},
		{"d.yaml", "StartAt: T\nStates:\n  T: {Type: Task, Resource: ${Build}, End: true}\n",
			`d.yaml:3:29: state "T": Value is not a valid resource ARN: ${Build} is a placeholder that has no value; give it one with --substitute Build=VALUE or, in a config, under substitutions (SCHEMA_VALIDATION_FAILED at /States/T/Resource)`},
		{"d.json", "{\"StartAt\":\"P\",\n\"States\":{\"P\":{\"Type\":\"Pass\",\"Result\":\"${Filled} and ${Stage} and ${Stage}, ${zone.id}\",\"End\":true}}}",
			"d.json:2:39: warning: ${Stage}" + hint + ": give it one with --substitute Stage=VALUE or, in a config, under substitutions (UNFILLED_PLACEHOLDER)\n" +
				"d.json:2:39: warning: ${zone.id}" + hint + ": give it one with --substitute zone.id=VALUE or, in a config, under substitutions (UNFILLED_PLACEHOLDER)"},
		{"d.json", `{"StartAt":"${Filled}W","States":{"longW":{"Type":"Wait","Seconds":${Secs},"End":true}}}`,
			"d.json:1:68: ${Secs}" + hint + ": give it one with --substitute Secs=VALUE or, in a config, under substitutions (UNFILLED_PLACEHOLDER)"},
		{"d.yaml", "StartAt: W\nStates:\n  W: {Type: Wait, Seconds: ${Secs}, End: true}\n",
			`d.yaml:3:28: state "W": Expected value of type Integer: ${Secs} is a placeholder that has no value; give it one with --substitute Secs=VALUE or, in a config, under substitutions (SCHEMA_VALIDATION_FAILED at /States/W/Seconds)`},
		// After what was filled in, places are still those of the file.
		{"d.json", "{\"StartAt\":\"${Filled}\",\"States\":{\"long\":{\"Type\":\"Pass\",\"Comment\":\"${Filled}\",\"Ende\":1}}}",
			"d.json:1:78: state \"long\": Field 'Ende' is not supported: did you mean End? (SCHEMA_VALIDATION_FAILED at /States/long)\n" +
				`d.json:1:34: state "long": These fields are required: [Next] or [End] (SCHEMA_VALIDATION_FAILED at /States/long)`},
		{"d.json", `{"StartAt":"P","States":{"P":{"Type":"Pass","Result":"echo ${HOME:-/} ${1} ${} $${X} ${!Y}","End":true}}}`, ""},
	} {
		d := Read(tt.name, []byte(tt.text), map[string]string{"Filled": "long"})
		if got := shown(tt.name, d); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.text, got, tt.want)
		}
	}
}

func TestPlaceholdersAreCounted(t *testing.T) {
	for name, text := range map[string]string{"d.json": `["` + strings.Repeat("${a}", 20_000) + `"]`, "d.yaml": "a: " + strings.Repeat("${a}", 20_000)} {
		d := Read(name, []byte(text), nil)
		if len(d.Findings) > 10 {
			t.Errorf("%s: %d findings", name, len(d.Findings))
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("d.yaml", inYAML, "x")
	f.Add("d.json", `{"StartAt":"${a}","States":{"${a}":{"Type":"Wait","Seconds":${a},"End":true}}}`, "W")
	f.Add("-", "a: &a {<<: *a}\n? [b]\n: !!str ${a}\n--- c", "1\n")
	f.Fuzz(func(t *testing.T, name, text, v string) {
		d := Read(name, []byte(text), map[string]string{"a": v})
		if !d.Failed() {
			if _, err := asl.Parse([]byte(d.JSON)); err != nil {
				t.Fatalf("no finding, but %v", err)
			}
		}
		for _, finding := range d.Findings {
			if finding.Line < 0 || finding.Line > strings.Count(text, "\n")+strings.Count(text, "\r")+1 {
				t.Fatalf("line %d of a text of %d", finding.Line, strings.Count(text, "\n")+1)
			}
		}
	})
}
