package integration

import (
	"strings"
	"unicode"
)

// SDKName is the name that a member of a service's request, or of its answer,
// has in an AWS SDK integration: that of the AWS SDK for Java 2.x in Pascal case.
// An acronym at the beginning is a word there, so that DBInstanceIdentifier is
// DbInstanceIdentifier.
func SDKName(member string) string { return UpperFirst(LowerWord(member)) }

// UpperFirst is a name in Pascal case.
func UpperFirst(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// LowerWord lowers the first word of a name, which may be an acronym, as the AWS
// SDK for Java 2.x does: StartDBInstance is startDBInstance, and
// DBInstanceIdentifier is dbInstanceIdentifier.
func LowerWord(name string) string {
	r := []rune(name)
	for i := range r {
		if i > 0 && (!unicode.IsUpper(r[i]) || i+1 < len(r) && unicode.IsLower(r[i+1])) {
			break
		}
		r[i] = unicode.ToLower(r[i])
	}
	return string(r)
}
