package awssecret

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Ref{
		"aws-secret:hook":                     {Name: "hook"},
		"aws-secret:prod/web_hook+=.@-x#key":  {Name: "prod/web_hook+=.@-x", Key: "key"},
		"aws-secret:hook#a key: with spaces":  {Name: "hook", Key: "a key: with spaces"},
		"aws-ssm:/token":                      {Parameter: true, Name: "/token"},
		"aws-ssm:/switchyard/prod.eu/to_ke-n": {Parameter: true, Name: "/switchyard/prod.eu/to_ke-n"},
		"aws-secret:arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/hook-AbCdEf#k": {
			Name: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/hook-AbCdEf", Key: "k"},
		"aws-secret:arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:x-AbCdEf": {
			Name: "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:x-AbCdEf"},
	} {
		got, err := Parse(text)
		if err != nil || got != want || !Is(text) {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
		if got.String() != text {
			t.Errorf("%s is written as %s", text, got)
		}
	}
}

func TestParseRefusesNearMisses(t *testing.T) {
	for text, want := range map[string]string{
		"aws-secret:":         "write aws-secret:NAME",
		"aws-secret:#key":     "write aws-secret:NAME",
		"aws-secret:hook#":    "no key after the #",
		"aws-secret:hook#a#b": "two #",
		"aws-secret: hook":    "write aws-secret:NAME",
		"aws-secret:hook:key": "write aws-secret:NAME",
		"aws-secret:höök":     "write aws-secret:NAME",
		"aws-secret:hook\n":   "write aws-secret:NAME",
		"aws-secret:arn:aws:ssm:eu-west-1:123456789012:parameter/x": "its ARN",
		"aws-ssm:":           "write aws-ssm:/path",
		"aws-ssm:/":          "write aws-ssm:/path",
		"aws-ssm:token":      "slash at the beginning",
		"aws-ssm:/token/":    "write aws-ssm:/path",
		"aws-ssm://token":    "write aws-ssm:/path",
		"aws-ssm:/token#key": "taken whole",
		"aws-ssm:/to ken":    "write aws-ssm:/path",
		"aws-ssm:/" + strings.Repeat("a", maxParameter): "write aws-ssm:/path",
	} {
		if got, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %+v, %v, want an error with %q", text, got, err, want)
		}
	}
}

// FuzzParse holds that what Parse takes, it writes as it was, and that no name
// has what a shell, a URL or a line would take for its own.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"aws-secret:a#b", "aws-secret:a##", "aws-ssm:/a/b", "aws-ssm:a", "aws-secret:arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf", "aws-secret:\x00", "file:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !Is(text) {
			return
		}
		ref, err := Parse(text)
		if err != nil {
			return
		}
		if ref.String() != text {
			t.Errorf("%q is written as %q", text, ref)
		}
		if strings.ContainsAny(ref.Name, " \t\r\n\x00'\"#?&$`\\") {
			t.Errorf("the name %q", ref.Name)
		}
	})
}
