// Package field checks the strings of a delivery that the rest of Switchyard
// relies on, whichever source they came from. The errors name the field.
//
// What is refused here can exist at no git host; anything a host may hold, such
// as a branch named $(reboot) or ../../x, passes and stays hostile.
package field

import (
	"fmt"
	"strings"

	"switchyard/internal/safetext"
)

// Limits in bytes. Git itself has none for refs; hosts and file systems do.
const (
	maxRef        = 1024
	maxRepository = 512
	maxDelivery   = 128
)

// SHA returns s as Git writes it, in lower case: 40 hex digits, or 64 in a
// repository that uses SHA-256.
func SHA(name, s string) (string, error) {
	if !isHex(s) || (len(s) != 40 && len(s) != 64) {
		return "", fmt.Errorf("%s: %s is not a commit ID of 40 or 64 hex digits", name, quote(s))
	}
	return strings.ToLower(s), nil
}

// ShortSHA returns the first digits of a commit's ID in lower case: 7 to 39, of
// which hosts show 12 at least where they are to be told apart.
func ShortSHA(name, s string) (string, error) {
	if !isHex(s) || len(s) < 7 || len(s) > 39 {
		return "", fmt.Errorf("%s: %s is not the beginning of a commit ID, 7 to 39 hex digits", name, quote(s))
	}
	return strings.ToLower(s), nil
}

// Tip is like [SHA], but returns "" for the zeros that stand for no commit.
func Tip(name, s string) (string, error) {
	sha, err := SHA(name, s)
	if strings.Trim(sha, "0") == "" {
		return "", err
	}
	return sha, err
}

// Ref checks the full name of a ref.
func Ref(name, s string) error {
	switch rest, ok := strings.CutPrefix(s, "refs/"); {
	case !ok || rest == "" || strings.HasSuffix(rest, "/"):
		return fmt.Errorf("%s: %s is not a full ref name, such as refs/heads/main", name, quote(s))
	case len(s) > maxRef:
		return fmt.Errorf("%s: a ref name of %d bytes, more than %d", name, len(s), maxRef)
	case hasControl(s):
		return fmt.Errorf("%s: %s has a control character, which Git does not allow in a ref", name, quote(s))
	}
	return nil
}

// Branch checks a short branch name.
func Branch(name, s string) error {
	if s == "" {
		return fmt.Errorf("%s: empty, where a branch name should be", name)
	}
	return Ref(name, "refs/heads/"+s)
}

// Repository checks a repository's full name: a path of at least the given
// number of segments.
func Repository(name, s string, segments int) error {
	parts := strings.Split(s, "/")
	bad := len(parts) < segments || len(s) > maxRepository || hasControl(s) || strings.Contains(s, `\`)
	for _, p := range parts {
		bad = bad || p == "" || p == "." || p == ".."
	}
	if bad {
		want := "name"
		if segments > 1 {
			want = "owner/name"
		}
		return fmt.Errorf("%s: %s is not a repository's full name (%s, at most %d bytes)", name, quote(s), want, maxRepository)
	}
	return nil
}

// DeliveryID checks the header of that name, in which a source identifies a
// delivery: 1–128 visible ASCII characters.
func DeliveryID(header, s string) error {
	if s == "" {
		return fmt.Errorf("header %s is missing: without it a repeated delivery cannot be recognised", header)
	}
	bad := len(s) > maxDelivery
	for i := range len(s) {
		bad = bad || s[i] <= ' ' || s[i] >= 0x7f
	}
	if bad {
		return fmt.Errorf("header %s must be 1–%d visible ASCII characters", header, maxDelivery)
	}
	return nil
}

func isHex(s string) bool {
	for i := range len(s) {
		if b := s[i]; (b < '0' || b > '9') && (b < 'a' || b > 'f') && (b < 'A' || b > 'F') {
			return false
		}
	}
	return true
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

func quote(s string) string { return `"` + safetext.Cut(safetext.Line(s), 80) + `"` }
