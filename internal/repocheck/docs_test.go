package repocheck_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

func TestEveryPackageHasOneDocComment(t *testing.T) {
	t.Parallel()
	docs := map[string][]string{}
	for _, file := range goFiles(t) {
		if file.test || file.generated() {
			continue
		}
		if _, ok := docs[file.dir]; !ok {
			docs[file.dir] = nil
		}
		if file.ast.Doc == nil {
			continue
		}
		docs[file.dir] = append(docs[file.dir], file.name)
		want := "Package " + file.ast.Name.Name + " "
		if file.ast.Name.Name == "main" {
			// gofmt's documentation of a program starts with its name, as in
			// "Thumbnails makes ..." or "The thumbnails program ...".
			continue
		}
		if !strings.HasPrefix(file.ast.Doc.Text(), want) {
			t.Errorf("%s: the package's doc comment must start with %q: its first sentence is what a search shows", file.name, want)
		}
	}
	for dir, in := range docs {
		switch len(in) {
		case 0:
			t.Errorf("%s: no file has a package doc comment", dir)
		case 1:
		default:
			t.Errorf("%s: %s have a package doc comment each: go doc runs them together in the order of the file names", dir, strings.Join(in, ", "))
		}
	}
}

func TestEveryPublicNameIsDocumented(t *testing.T) {
	t.Parallel()
	for _, file := range goFiles(t) {
		if file.test || file.generated() || !slices.Contains(publicPackages, file.dir) {
			continue
		}
		for _, finding := range undocumented(file) {
			t.Errorf("%s:%d %s", file.name, finding.line, finding.text)
		}
	}
}

type finding struct {
	line int
	text string
}

// undocumented lists the exported names of a file that lack a doc comment, or
// have one that does not start with the name.
func undocumented(file *goFile) []finding {
	var found []finding
	report := func(pos token.Pos, text string) {
		found = append(found, finding{file.line(pos), text})
	}
	for _, decl := range file.ast.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Name.IsExported() && exportedReceiver(decl) {
				checkDoc(decl.Name, decl.Doc, report)
			}
		case *ast.GenDecl:
			checkGenDecl(file, decl, report)
		}
	}
	return found
}

func checkGenDecl(file *goFile, decl *ast.GenDecl, report func(token.Pos, string)) {
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if !spec.Name.IsExported() {
				continue
			}
			doc := spec.Doc
			if doc == nil && !decl.Lparen.IsValid() {
				doc = decl.Doc
			}
			checkDoc(spec.Name, doc, report)
			checkMembers(file, spec, report)
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				switch {
				case !name.IsExported():
				case !decl.Lparen.IsValid():
					checkDoc(name, decl.Doc, report)
				case decl.Doc == nil && spec.Doc == nil && spec.Comment == nil:
					// In a group, one comment may speak for all.
					report(name.Pos(), name.Name+" has no comment, and neither has its group")
				}
			}
		}
	}
}

// checkMembers looks at the exported fields of a struct and the methods of an
// interface. Fields on lines that follow one another share the first one's
// comment, as in `// The two bounds of the queue.` over two fields.
func checkMembers(file *goFile, spec *ast.TypeSpec, report func(token.Pos, string)) {
	var list *ast.FieldList
	switch kind := spec.Type.(type) {
	case *ast.StructType:
		list = kind.Fields
	case *ast.InterfaceType:
		list = kind.Methods
	default:
		return
	}
	documentedUpTo := -1
	for _, field := range list.List {
		if field.Doc != nil || field.Comment != nil || file.line(field.Pos()) == documentedUpTo+1 {
			documentedUpTo = file.line(field.End())
			continue
		}
		for _, name := range field.Names {
			if name.IsExported() {
				report(name.Pos(), spec.Name.Name+"."+name.Name+" has no comment")
			}
		}
	}
}

func checkDoc(name *ast.Ident, doc *ast.CommentGroup, report func(token.Pos, string)) {
	if doc == nil || strings.TrimSpace(doc.Text()) == "" {
		report(name.Pos(), name.Name+" has no doc comment")
		return
	}
	if !startsWithName(doc.Text(), name.Name) {
		report(name.Pos(), "the doc comment of "+name.Name+" must start with its name: the first sentence is what lists and searches show")
	}
}

// startsWithName allows an article before the name, as the language's own
// documentation rules do.
func startsWithName(text, name string) bool {
	for _, article := range []string{"A ", "An ", "The "} {
		if rest, ok := strings.CutPrefix(text, article); ok {
			text = rest
			break
		}
	}
	rest, ok := strings.CutPrefix(text, name)
	if !ok {
		return false
	}
	return rest == "" || !isNameByte(rest[0])
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// exportedReceiver reports whether a function is no method, or one of an
// exported type.
func exportedReceiver(decl *ast.FuncDecl) bool {
	if decl.Recv == nil || len(decl.Recv.List) == 0 {
		return true
	}
	expr := decl.Recv.List[0].Type
	for {
		switch kind := expr.(type) {
		case *ast.StarExpr:
			expr = kind.X
		case *ast.IndexExpr:
			expr = kind.X
		case *ast.IndexListExpr:
			expr = kind.X
		case *ast.ParenExpr:
			expr = kind.X
		case *ast.Ident:
			return kind.IsExported()
		default:
			return true
		}
	}
}

// The rule is tried on a file that breaks it in every way, so that it can't turn
// into one that finds nothing.
func TestUndocumentedFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	file := parseText(t, `package p

func NoDoc() {}

// Says something else.
func WrongDoc() {}

// RightDoc is documented.
func RightDoc() {}

// An Article is fine.
type Article struct {
	Bare int

	// Kept is documented.
	Kept int
	Shared int

	Line int // with a comment behind it
}

// Articles is a longer name, which must not pass for Article.
type Other[T any] struct{}

func (*Other[T]) Method() {}

func (hidden) Method() {}

type hidden struct{}

// Doer does.
type Doer interface {
	Do()
}

const (
	Lonely = 1

	// Fine is fine.
	Fine = 2
)

// The limits.
const (
	Low  = 1
	High = 2
)

var ErrBare = error(nil)
`)
	var got []string
	for _, f := range undocumented(file) {
		name, _, _ := strings.Cut(strings.TrimPrefix(f.text, "the doc comment of "), " ")
		got = append(got, name)
	}
	want := []string{"NoDoc", "WrongDoc", "Article.Bare", "Other", "Method", "Doer.Do", "Lonely", "ErrBare"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
