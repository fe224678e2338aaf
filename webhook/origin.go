package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"switchyard/internal/cloneurl"
	"switchyard/internal/event"
	"switchyard/internal/safetext"
)

// Origin says where the repositories of a source are cloned from. What a
// delivery says of that is held against it and never used by itself: whoever
// can sign for one repository could otherwise have another one built, or a
// folder of this machine, with our tokens.
type Origin struct {
	// Base is an http or https URL under which every repository is cloned by its
	// full name: <Base>/<full name>.git. "" where there is none.
	Base string
	// Bare leaves the .git out, for a host that knows repositories without.
	Bare bool
	// Paths are the repositories on this machine by their full name, each an
	// absolute path.
	Paths map[string]string
	// Key is where the source stands in the config, for advice: sources.github.
	Key string
}

// From returns src with the clone URLs of its events decided by o.
func From(src Source, o Origin) (Source, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if src == nil {
		return nil, errors.New("no source")
	}
	return &placed{src, o}, nil
}

// check refuses an origin that nothing can be cloned from, and makes Base one
// that URLs can be held against.
func (o *Origin) check() error {
	if o.Base != "" {
		u, err := url.Parse(o.Base)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("clone_base: %q is no http or https URL without user and query", o.Base)
		}
		u.Host, u.Path = strings.ToLower(u.Host), strings.TrimRight(u.Path, "/")
		o.Base = u.String()
	}
	for name, path := range o.Paths {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("repositories: the path of %s is not absolute", name)
		}
	}
	return nil
}

// placed is a source with an origin.
type placed struct {
	Source
	origin Origin
}

var (
	_ Prechecker = (*placed)(nil)
	_ Several    = (*placed)(nil)
)

// Precheck implements [Prechecker] where the source does.
func (p *placed) Precheck(h http.Header) error { return precheck(p.Source, h) }

// Decode implements [Source].
func (p *placed) Decode(h http.Header, body []byte) (event.Event, error) {
	return Only(p.DecodeAll(h, body))
}

// DecodeAll implements [Several].
func (p *placed) DecodeAll(h http.Header, body []byte) ([]event.Event, error) {
	evs, err := DecodeAll(p.Source, h, body)
	if err == nil {
		p.origin.placeAll(evs)
	}
	return evs, err
}

// DecoderFrom returns d with the clone URLs of its events decided by o, as
// [From] does for a source.
func DecoderFrom(d Decoder, o Origin) (Decoder, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if d == nil {
		return nil, errors.New("no decoder")
	}
	return &placedDecoder{d, o}, nil
}

type placedDecoder struct {
	Decoder
	origin Origin
}

// DecodeMessage implements [Decoder].
func (p *placedDecoder) DecodeMessage(message []byte) ([]event.Event, error) {
	evs, err := p.Decoder.DecodeMessage(message)
	if err == nil {
		p.origin.placeAll(evs)
	}
	return evs, err
}

func (o *Origin) placeAll(evs []event.Event) {
	for i := range evs {
		r := &evs[i].Repository
		r.CloneURL, evs[i].CloneRefused = o.place(r.FullName, r.CloneURL)
	}
}

// Is reports whether a repository of the source is cloned from cloneURL.
func (o Origin) Is(cloneURL, repository string) bool {
	if o.check() != nil {
		return false
	}
	if path, local := o.Paths[repository]; local && samePath(cloneURL, path) {
		return true
	}
	place, _ := o.place(repository, "")
	return place != "" && cloneurl.Same(cloneURL, place)
}

// Place is where a repository of the source is cloned from, "" where nothing
// tells.
func (o Origin) Place(repository string) string {
	if o.check() != nil {
		return ""
	}
	place, _ := o.place(repository, "")
	return place
}

// place returns where the repository is cloned from, and why that is not what
// was said, if it is not.
func (o *Origin) place(name, said string) (place, refused string) {
	path, local := o.Paths[name]
	if local && (samePath(said, path) || said == "" && o.Base == "") {
		return path, ""
	}
	if o.Base != "" {
		place = o.Base + "/" + escapeName(name)
		if !o.Bare {
			place += ".git"
		}
		if said == "" || cloneurl.Same(said, place) {
			return place, ""
		}
		return place, fmt.Sprintf("the delivery says that %s is cloned from %s, which is not used: builds clone it from %s; if it is elsewhere, set %s.clone_base",
			shown(name), shownURL(said), place, o.Key)
	}
	if local {
		return path, fmt.Sprintf("the delivery says that %s is cloned from %s, which is not used: builds clone it from %s, as %s.repositories says; to have them clone by http, set %s.clone_base",
			shown(name), shownURL(said), path, o.Key, o.Key)
	}
	if said == "" {
		return "", ""
	}
	return "", fmt.Sprintf("the delivery says that %s is cloned from %s, which is not used: list the repository's path under %s.repositories or, to have builds clone by http, set %s.clone_base",
		shown(name), shownURL(said), o.Key, o.Key)
}

// escapeName makes a full name the path of a URL.
func escapeName(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// samePath reports whether said is the path, or a file URL of it.
func samePath(said, path string) bool {
	said = strings.TrimPrefix(said, "file://")
	return filepath.IsAbs(said) && filepath.Clean(said) == filepath.Clean(path)
}

// shownURL is a URL without the user and password that it may hold.
func shownURL(text string) string {
	if before, after, ok := strings.Cut(text, "//"); ok {
		if at := strings.LastIndexByte(after, '@'); at >= 0 {
			text = before + "//***@" + after[at+1:]
		}
	}
	return `"` + safetext.Cut(safetext.Line(text), 200) + `"`
}
