// Package awssecret reads the secrets of a config that are kept in AWS: in
// Secrets Manager and in the Parameter Store of Systems Manager.
package awssecret

import (
	"fmt"
	"regexp"
	"strings"
)

// What a reference to each store begins with.
const (
	secretPrefix    = "aws-secret:"
	parameterPrefix = "aws-ssm:"
)

// Ref names a secret in AWS.
type Ref struct {
	// Parameter says that it is one of the Parameter Store, and not of Secrets
	// Manager.
	Parameter bool
	// Name is the secret's name or ARN, or the parameter's path.
	Name string
	// Key is the key of a secret that is a JSON object; "" means the whole text.
	Key string
}

func (r Ref) String() string {
	switch {
	case r.Parameter:
		return parameterPrefix + r.Name
	case r.Key != "":
		return secretPrefix + r.Name + "#" + r.Key
	}
	return secretPrefix + r.Name
}

// Is reports whether a text is written as a reference, be it a right one or not.
func Is(text string) bool {
	return strings.HasPrefix(text, secretPrefix) || strings.HasPrefix(text, parameterPrefix)
}

var (
	// The rules of CreateSecret and PutParameter in the services' API references.
	secretName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`)
	secretARN  = regexp.MustCompile(`^arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,519}$`)
	parameter  = regexp.MustCompile(`^(/[A-Za-z0-9_.-]+)+$`)
)

const maxParameter = 1011 // bytes of a parameter's name

// Parse reads a text for which Is holds. Its errors say how to write it.
func Parse(text string) (Ref, error) {
	if path, ok := strings.CutPrefix(text, parameterPrefix); ok {
		switch {
		case strings.Contains(path, "#"):
			return Ref{}, fmt.Errorf("%q has a #, which picks a key of a secret in Secrets Manager; a parameter is taken whole: aws-ssm:/path", text)
		case path != "" && path[0] != '/':
			return Ref{}, fmt.Errorf("%q lacks the slash at the beginning of the path; write aws-ssm:/path", text)
		case len(path) > maxParameter || !parameter.MatchString(path):
			return Ref{}, fmt.Errorf("%q does not name a parameter; write aws-ssm:/path, of letters, digits and / _ . -", text)
		}
		return Ref{Parameter: true, Name: path}, nil
	}
	name, key, keyed := strings.Cut(strings.TrimPrefix(text, secretPrefix), "#")
	switch {
	case strings.Contains(key, "#"):
		return Ref{}, fmt.Errorf("%q has two #; write aws-secret:NAME#key, with one key", text)
	case keyed && key == "":
		return Ref{}, fmt.Errorf("%q names no key after the #; leave the # out to take the whole text", text)
	case !secretName.MatchString(name) && !secretARN.MatchString(name):
		return Ref{}, fmt.Errorf("%q does not name a secret; write aws-secret:NAME, or its ARN, of letters, digits and / _ + = . @ -", text)
	}
	return Ref{Name: name, Key: key}, nil
}

// region is the one that an ARN names, "" for a name alone.
func (r Ref) region() string {
	if m := secretARN.FindStringSubmatch(r.Name); m != nil {
		return m[1]
	}
	return ""
}
