package webhook

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"switchyard/internal/event"
)

// MaxSecrets bounds how many secrets one source may have in all: with each of
// them a signature is computed of what anybody sends.
const MaxSecrets = 100

// PerRepository returns a source some of whose repositories have secrets of
// their own. A delivery of such a repository is genuine if one of those signed
// it, and of any other if one of the shared did; who knows the secret of one
// repository cannot speak for another. newSource makes the source that takes the
// given secrets.
//
// Which repository a delivery is of is known only once it is decoded, and
// nothing is decoded that is not signed: so Verify takes any of the secrets, and
// Decode holds the signature to the repository's.
func PerRepository(newSource func(secrets []string) (Source, error), shared []string, own map[string][]string) (Source, error) {
	if len(own) == 0 {
		return newSource(shared)
	}
	p := &perRepository{own: make(map[string]Source, len(own))}
	all := slices.Clone(shared)
	var err error
	for _, name := range slices.Sorted(maps.Keys(own)) {
		folded := foldName(name)
		if p.own[folded] != nil {
			return nil, fmt.Errorf("repositories: %s is given twice; hosts take small and capital letters for the same", name)
		}
		if p.own[folded], err = newSource(own[name]); err != nil {
			return nil, fmt.Errorf("repositories: %s: %w", name, err)
		}
		all = append(all, own[name]...)
	}
	if len(shared) > 0 {
		if p.shared, err = newSource(shared); err != nil {
			return nil, err
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > MaxSecrets {
		return nil, fmt.Errorf("%d secrets are more than %d: let repositories share some, or make several sources", len(all), MaxSecrets)
	}
	p.Source, err = newSource(all)
	return p, err
}

// foldName is a repository's name as hosts compare it: a delivery must not get
// round the repository's secrets by another spelling.
func foldName(name string) string { return strings.ToLower(name) }

type perRepository struct {
	Source                   // takes all secrets
	shared Source            // nil when there are none
	own    map[string]Source // by folded name
}

var (
	_ Prechecker = (*perRepository)(nil)
	_ Several    = (*perRepository)(nil)
)

// Precheck implements [Prechecker] where the source does.
func (p *perRepository) Precheck(h http.Header) error { return precheck(p.Source, h) }

// Decode implements [Source].
func (p *perRepository) Decode(h http.Header, body []byte) (event.Event, error) {
	return Only(p.DecodeAll(h, body))
}

// DecodeAll implements [Several]. What asks for nothing and names no repository,
// such as a ping, may be signed with any of the secrets.
func (p *perRepository) DecodeAll(h http.Header, body []byte) ([]event.Event, error) {
	evs, err := DecodeAll(p.Source, h, body)
	for i := range evs {
		name := evs[i].Repository.FullName
		if err != nil && name == "" {
			continue
		}
		if wrong := p.verify(name, h, body); wrong != nil {
			return nil, unsignedError{wrong}
		}
	}
	return evs, err
}

// verify holds the signature to the secrets of one repository.
func (p *perRepository) verify(name string, h http.Header, body []byte) error {
	of, found := p.own[foldName(name)]
	if !found {
		of = p.shared
	}
	if of == nil {
		return fmt.Errorf("%w: repository %s has no secret in Switchyard's configuration, and those of other repositories don't count for it", ErrSignatureMismatch, shown(name))
	}
	wrong := of.Verify(h, body)
	if errors.Is(wrong, ErrSignatureMismatch) {
		return fmt.Errorf("%w: the secret is that of other repositories; set the webhook's secret at the git host to one that Switchyard's configuration has for %s", ErrSignatureMismatch, shown(name))
	}
	return wrong
}
