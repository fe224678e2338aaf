package config

import (
	"strings"

	"github.com/goccy/go-yaml/ast"

	"switchyard/webhook"
)

// Repository is what one repository of a source has of its own. In the file it
// is a path alone, or a mapping.
type Repository struct {
	Path    string  `json:"path,omitzero" jsonschema:"For git: the repository's path on this machine. Relative to this file's folder. Builds clone from there, its commits get a note in refs/notes/switchyard, and where the hook is installed, pushes that it missed are found."`
	Secrets Secrets `json:"secrets,omitzero" jsonschema:"Webhook secrets of this repository alone: its deliveries must be signed with one of them, and no longer with the source's."`
}

// repositorySettings is Repository without its own way of being decoded.
type repositorySettings Repository

func (r *Repository) decodeNode(d *decoder, n ast.Node, path string) {
	if _, ok := d.scalar(n); !ok && !isNull(n) {
		d.mapping(n, (*repositorySettings)(r), path)
		return
	}
	if text, ok := d.text(n, path); ok {
		r.Path = text
	}
}

// checkRepositories checks what single repositories of a source have.
func (d *decoder) checkRepositories(at string, s *Source) {
	secrets, spelled := len(s.Secrets), map[string]string{}
	for _, name := range sorted(s.Repositories) {
		r, path := s.Repositories[name], join(at, name)
		secrets += len(r.Secrets)
		if first, twice := spelled[strings.ToLower(name)]; twice {
			d.failValue(path, "%s is the same repository: hosts take small and capital letters for the same", first)
		}
		spelled[strings.ToLower(name)] = name
		switch {
		case d.failedUnder(path):
		case s.Provider != providerGit && r.Path != "":
			d.failValue(path, "only a git source has repositories on this machine; a %s source's have secrets", s.Provider)
		case r.Path == "" && len(r.Secrets) == 0 && !d.offline:
			if s.Provider == providerGit {
				d.failValue(path, "is empty; give the repository's path")
			} else {
				d.failValue(path, "secrets is missing")
			}
		case d.has(path+".secrets") && len(r.Secrets) == 0 && !d.offline:
			d.failValue(path+".secrets", "is empty: without a secret no delivery could be verified")
		}
	}
	if secrets > webhook.MaxSecrets {
		d.failValue(at, "the source has %d secrets, more than %d; let repositories share some, or make several sources", secrets, webhook.MaxSecrets)
	}
}

// RepositorySecrets are the secrets that repositories of a source have of their
// own, by the repository's full name.
func (s *Source) RepositorySecrets() map[string][]string {
	own := map[string][]string{}
	for name, r := range s.Repositories {
		if len(r.Secrets) > 0 {
			own[name] = r.Secrets.Reveal()
		}
	}
	return own
}

// hasSecrets reports whether any delivery of the source could be verified.
func (s *Source) hasSecrets() bool { return len(s.Secrets) > 0 || len(s.RepositorySecrets()) > 0 }
