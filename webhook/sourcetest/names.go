package sourcetest

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"switchyard/webhook"
)

// hostileNames holds that a name is passed on as it is or refused with an error
// that is fit to show, and never repaired.
func (h *Host) hostileNames(t *testing.T) {
	repository := h.push(t).Truth[0].Repository
	for name, branch := range map[string]string{
		"a command":     "$(reboot)",
		"an option":     "--upload-pack=touch x",
		"markup":        `<script>alert("x")</script>`,
		"quotes":        `a'b"c\d`,
		"a template":    "{{ .Secret }}${HOME}",
		"escapes":       "a%2e%2e%2fb+c&d=e#f",
		"letters":       "größe/日本語-ветка",
		"right to left": "a\u202eb",
		"255 bytes":     strings.Repeat("é", 127) + "x",
	} {
		t.Run("branch/"+name, func(t *testing.T) {
			d := h.Named(branch, repository)
			if err := h.Source.Verify(d.Header, d.Body); err != nil {
				t.Fatalf("Named has not signed it: %v", err)
			}
			evs, err := webhook.DecodeAll(h.Source, d.Header, d.Body)
			if err != nil {
				t.Fatalf("refused, though a host may have such a branch: %v", err)
			}
			equal(t, "ref", "refs/heads/"+branch, evs[0].Ref)
			equal(t, "repository", repository, evs[0].Repository.FullName)
		})
	}
	for name, branch := range map[string]string{
		"control characters": "a\x1b[2Jb", "a line break": "a\nb", "a zero": "a\x00b", "delete": "a\x7fb",
		"very long": strings.Repeat("n", 5000), "empty": "",
	} {
		t.Run("branch refused/"+name, func(t *testing.T) { h.refuses(t, h.Named(branch, repository)) })
	}
	for name, repository := range map[string]string{
		"leads up": "..", "leads up from an owner": "acme/..", "leads up to another": "acme/../other/app", "stays": "acme/.",
		"absolute": "/etc/passwd", "no name": "acme/", "control characters": "acme/a\x1b[2Jb", "a line break": "acme/a\nb",
		"a backslash": `acme/..\x`, "very long": "acme/" + strings.Repeat("n", 5000), "empty": "",
	} {
		t.Run("repository refused/"+name, func(t *testing.T) { h.refuses(t, h.Named("main", repository)) })
	}
}

// refuses holds that a genuine delivery is not taken, with a text that is fit to
// show.
func (h *Host) refuses(t *testing.T, d Delivery) {
	t.Helper()
	if err := h.Source.Verify(d.Header, d.Body); err != nil {
		t.Fatalf("Named has not signed it: %v", err)
	}
	evs, err := webhook.DecodeAll(h.Source, d.Header, d.Body)
	var ignored *webhook.Ignored
	switch {
	case err == nil:
		t.Fatalf("taken: ref %q of repository %q", evs[0].Ref, evs[0].Repository.FullName)
	case errors.As(err, &ignored):
		t.Errorf("ignored, and not refused: %v", err)
	case len(err.Error()) > 500 || strings.ContainsFunc(err.Error(), unicode.IsControl):
		t.Errorf("the error is not fit to show: %.200q of %d bytes", err, len(err.Error()))
	}
}
