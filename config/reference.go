package config

import (
	"path/filepath"
	"regexp"
	"strings"

	"switchyard/internal/awssecret"
)

// maxSecret is the size in bytes that a secret's file may have.
const maxSecret = 64 << 10

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand fills the references of text in. Offline, a reference to a variable
// that is not set stays as it is written, and its path is remembered. otherwise
// is what can be written instead of such a reference; secret says that the text
// is one.
func (d *decoder) expand(text, path, otherwise string, secret bool) (string, bool) {
	var b strings.Builder
	ok := true
	written := text
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			b.WriteString(text)
			if whole := b.String(); whole != written {
				d.expanded[path], d.written[path] = whole, written
			}
			return b.String(), ok
		}
		if plain, escaped := strings.CutSuffix(before, "$"); escaped {
			b.WriteString(plain + "${")
			text = rest
			continue
		}
		b.WriteString(before)
		inner, after, closed := strings.Cut(rest, "}")
		name, fallback, hasFallback := strings.Cut(inner, ":-")
		if !closed || !variable.MatchString(name) {
			d.failValue(path, "${ starts a reference such as ${NAME} or ${NAME:-default}; write $${ for the characters themselves")
			return "", false
		}
		d.variables[name] = d.variables[name] || secret
		value, set := d.env(name)
		switch {
		case hasFallback && value == "":
			value = fallback
		case !set && d.offline:
			d.unresolved[path] = true
			value = "${" + inner + "}"
		case !set:
			d.failValue(path, "environment variable %s is not set; set it, or write %s", name, otherwise)
			ok = false
		}
		b.WriteString(value)
		text = after
	}
}

// secret finds a secret. Offline there is none.
func (d *decoder) secret(written, path string) (Secret, bool) {
	named := strings.HasPrefix(written, "file:")
	text, ok := d.expand(written, path, "file:PATH", !named && !awssecret.Is(written))
	switch {
	case !ok:
		return Secret{}, false
	case awssecret.Is(written):
		return d.secretInAWS(text, path)
	case nearReference.MatchString(written):
		d.failValue(path, "a secret in AWS is written aws-secret:NAME or aws-ssm:/path; if this text itself is the secret, put it in an environment variable and write ${NAME}")
		return Secret{}, false
	case d.offline:
		return Secret{}, false
	}
	if named {
		file := d.resolve(strings.TrimPrefix(text, "file:"))
		d.secretFiles = append(d.secretFiles, file)
		data, err := d.read.file(file, maxSecret)
		if err != nil {
			d.failValue(path, "read secret: %v", err)
			return Secret{}, false
		}
		text = strings.TrimRight(string(data), "\r\n")
		if text == "" {
			d.failValue(path, "the secret is empty: file %s holds nothing", file)
			return Secret{}, false
		}
		return NewSecret(text), true
	}
	if strings.TrimSpace(text) == "" {
		d.failValue(path, "the secret is empty; an empty secret would let anyone in")
		return Secret{}, false
	}
	return NewSecret(text), true
}

// resolve makes a path relative to the config's folder.
func (d *decoder) resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(d.name), path)
}
