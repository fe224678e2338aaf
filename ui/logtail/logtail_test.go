package logtail

import (
	"bytes"
	"strings"
	"testing"
)

func TestBufferKeepsTheEnd(t *testing.T) {
	var b Buffer
	var all bytes.Buffer
	for i := range 500 {
		line := strings.Repeat(string(rune('a'+i%26)), 997) + "\n"
		for _, w := range []interface{ Write([]byte) (int, error) }{&b, &all} {
			if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
				t.Fatal(n, err)
			}
		}
		if len(b.Last) > 2*Shown || !bytes.HasSuffix(all.Bytes(), b.Last) || len(b.Last) < min(Shown, all.Len()) || b.Cut != (len(b.Last) < all.Len()) {
			t.Fatalf("after %d bytes %d are kept, cut %v", all.Len(), len(b.Last), b.Cut)
		}
	}
	if !b.Cut {
		t.Error("nothing was cut")
	}
}
