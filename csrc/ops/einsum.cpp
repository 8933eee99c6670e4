// csrc/ops/einsum.cpp -- Einstein summation: subscripts become transposes, products of matrices and sums
#include <algorithm>
#include <cctype>
#include <limits>
#include <map>

#include "ops/common.h"

namespace nhwc {
namespace {

// A label is a letter, or for the axes behind an ellipsis a number from kEllipsis up, counted from the last axis.
using Label = int;
constexpr Label kEllipsis = 256;
using Labels = std::vector<Label>;
using Sizes = std::map<Label, int64_t>;

struct Term {
  Array a;
  Labels labels;  // one per axis, none twice
};

bool has(const Labels& labels, Label l) { return std::find(labels.begin(), labels.end(), l) != labels.end(); }

int axis_of(const Labels& labels, Label l) {
  return static_cast<int>(std::find(labels.begin(), labels.end(), l) - labels.begin());
}

// The subscripts of one operand; an ellipsis stands for `extra` axes.
Labels parse(const std::string& text, int extra, const std::string& whole) {
  Labels out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (std::isalpha(static_cast<unsigned char>(text[i]))) {
      out.push_back(text[i]);
    } else if (text.compare(i, 3, "...") == 0 && text.find("...", i + 3) == std::string::npos) {
      for (int k = extra; k-- > 0;) out.push_back(kEllipsis + k);
      i += 2;
    } else {
      raise<ValueError>("[einsum] subscripts \"", whole, "\" contain '", text[i],
                        "'; expected letters, commas, one ... an operand, and ->");
    }
  }
  return out;
}

int letters_in(const std::string& text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](unsigned char c) { return std::isalpha(c); }));
}

std::vector<std::string> split_commas(const std::string& s) {
  std::vector<std::string> out(1);
  for (char c : s) {
    if (c == ',')
      out.emplace_back();
    else
      out.back() += c;
  }
  return out;
}

// A label that stands twice in one operand takes its diagonal.
Term without_repeats(Array a, Labels labels) {
  for (size_t i = 0; i < labels.size(); ++i) {
    for (size_t j = i + 1; j < labels.size();) {
      if (labels[j] != labels[i]) {
        ++j;
        continue;
      }
      if (a.shape()[i] != a.shape()[j])
        raise<ValueError>("[einsum] a subscript that stands twice names sizes ", a.shape()[i], " and ", a.shape()[j],
                          "; they must be equal");
      a = moveaxis(diagonal(a, 0, static_cast<int>(i), static_cast<int>(j)), -1, static_cast<int>(i));
      labels.erase(labels.begin() + j);
    }
  }
  return {a, labels};
}

Term sum_out(const Term& t, const Labels& keep) {
  Labels rest;
  std::vector<int> gone;
  for (size_t i = 0; i < t.labels.size(); ++i) {
    if (has(keep, t.labels[i]))
      rest.push_back(t.labels[i]);
    else
      gone.push_back(static_cast<int>(i));
  }
  if (gone.empty()) return t;
  return {sum(t.a, gone), rest};
}

Labels joined(Labels a, const Labels& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

int64_t count(const Labels& labels, const Sizes& size) {
  Shape s;
  for (Label l : labels) s.push_back(size.at(l));
  return size_of(s);
}

// The operand's axes in the given order.
Array ordered(const Term& t, const Labels& order) {
  std::vector<int> axes;
  for (Label l : order) axes.push_back(axis_of(t.labels, l));
  return transpose(t.a, axes);
}

// The operand as matrices: axes (batch..., rows..., columns...) flattened to three.
Array as_matrices(const Term& t, const Labels& batch, const Labels& rows, const Labels& columns, const Sizes& size) {
  return reshape(ordered(t, joined(joined(batch, rows), columns)),
                 {count(batch, size), count(rows, size), count(columns, size)});
}

// Integers, which matmul does not take: products along every label, then a sum, exact.
Term contract_exactly(const Term& a, const Term& b, const Labels& outer, const Labels& inner) {
  const Labels all = joined(outer, inner);
  const auto spread = [&](const Term& t) {
    Labels mine;
    std::vector<int> missing;
    for (size_t i = 0; i < all.size(); ++i) {
      if (has(t.labels, all[i]))
        mine.push_back(all[i]);
      else
        missing.push_back(static_cast<int>(i));
    }
    return expand_dims(ordered(t, mine), missing);
  };
  return sum_out({multiply(spread(a), spread(b)), all}, outer);
}

// Two terms into one; labels that are not in `keep` are summed.
Term contract(const Term& x, const Term& y, const Labels& keep, const Sizes& size) {
  const Term a = sum_out(x, joined(keep, y.labels)), b = sum_out(y, joined(keep, x.labels));
  Labels batch, inner, rows, columns;
  for (Label l : a.labels) {
    if (!has(b.labels, l))
      rows.push_back(l);
    else if (has(keep, l))
      batch.push_back(l);
    else
      inner.push_back(l);
  }
  for (Label l : b.labels)
    if (!has(a.labels, l)) columns.push_back(l);
  const Labels labels = joined(joined(batch, rows), columns);
  if (!is_floating(promote_types(a.a.dtype(), b.a.dtype()))) return contract_exactly(a, b, labels, inner);
  const Array product = matmul(as_matrices(a, batch, rows, inner, size), as_matrices(b, batch, inner, columns, size));
  Shape shape;
  for (Label l : labels) shape.push_back(size.at(l));
  return {reshape(product, shape), labels};
}

// What must survive while terms i and j become one: the output's labels and those of the other terms.
Labels kept(const std::vector<Term>& terms, size_t i, size_t j, const Labels& output) {
  Labels keep = output;
  for (size_t k = 0; k < terms.size(); ++k)
    if (k != i && k != j) keep = joined(keep, terms[k].labels);
  return keep;
}

// The pair whose product has the fewest elements more than what it replaces: greedy, and the first of equals.
std::pair<size_t, size_t> best_pair(const std::vector<Term>& terms, const Labels& output, const Sizes& size) {
  std::pair<size_t, size_t> best{0, 1};
  double least = std::numeric_limits<double>::infinity();
  const auto elements = [&](const Labels& labels) {
    double n = 1;
    for (Label l : labels) n *= static_cast<double>(size.at(l));
    return n;
  };
  for (size_t i = 0; i < terms.size(); ++i)
    for (size_t j = i + 1; j < terms.size(); ++j) {
      const Labels keep = kept(terms, i, j, output);
      Labels result;
      for (Label l : joined(terms[i].labels, terms[j].labels))
        if (has(keep, l) && !has(result, l)) result.push_back(l);
      const double cost = elements(result) - elements(terms[i].labels) - elements(terms[j].labels);
      if (cost < least) {
        least = cost;
        best = {i, j};
      }
    }
  return best;
}

struct Parsed {
  std::vector<Labels> inputs;
  Labels output;
};

Parsed parse_all(const std::string& subscripts, const Arrays& operands) {
  std::string text;
  for (char c : subscripts)
    if (c != ' ') text += c;
  const size_t arrow = text.find("->");
  const std::vector<std::string> parts = split_commas(text.substr(0, arrow));
  if (parts.size() != operands.size())
    raise<ValueError>("[einsum] subscripts \"", subscripts, "\" name ", parts.size(), " operands, got ",
                      operands.size());
  Parsed p;
  int most = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool dots = parts[i].find("...") != std::string::npos;
    const int letters = letters_in(parts[i]), extra = operands[i].ndim() - letters;
    if (extra < 0 || (extra > 0 && !dots))
      raise<ValueError>("[einsum] subscripts \"", parts[i], "\" name ", letters, " axes of an array of shape ",
                        to_string(operands[i].shape()));
    most = std::max(most, dots ? extra : 0);
    p.inputs.push_back(parse(parts[i], extra, subscripts));
  }
  if (arrow != std::string::npos) {
    p.output = parse(text.substr(arrow + 2), most, subscripts);
    return p;
  }
  // Implicit: the ellipsis, then every letter that stands once, in alphabetical order.
  std::map<Label, int> count;
  for (const Labels& labels : p.inputs)
    for (Label l : labels) ++count[l];
  for (int k = most; k-- > 0;) p.output.push_back(kEllipsis + k);
  for (const auto& [l, n] : count)
    if (l < kEllipsis && n == 1) p.output.push_back(l);
  return p;
}

Sizes label_sizes(const std::vector<Term>& terms) {
  Sizes size;
  for (const Term& t : terms)
    for (size_t i = 0; i < t.labels.size(); ++i) {
      auto [it, fresh] = size.emplace(t.labels[i], t.a.shape()[i]);
      if (fresh || it->second == t.a.shape()[i] || t.a.shape()[i] == 1) continue;
      if (it->second != 1)
        raise<ValueError>("[einsum] one subscript names axes of sizes ", it->second, " and ", t.a.shape()[i],
                          "; they must be equal");
      it->second = t.a.shape()[i];
    }
  return size;
}

// Sizes of 1 stretch to what the label has elsewhere.
void stretch(std::vector<Term>& terms, const Sizes& size) {
  for (Term& t : terms) {
    Shape s;
    for (Label l : t.labels) s.push_back(size.at(l));
    t.a = broadcast_to(t.a, s);
  }
}

}  // namespace

Array einsum(const std::string& subscripts, const Arrays& operands) {
  if (operands.empty()) raise<ValueError>("[einsum] got no operands; expected at least one");
  const Parsed p = parse_all(subscripts, operands);
  std::vector<Term> terms;
  for (size_t i = 0; i < operands.size(); ++i) terms.push_back(without_repeats(operands[i], p.inputs[i]));
  const Sizes size = label_sizes(terms);
  for (Label l : p.output)
    if (!size.count(l) || std::count(p.output.begin(), p.output.end(), l) > 1)
      raise<ValueError>("[einsum] the output of \"", subscripts,
                        "\" names a subscript that no operand has, or one twice");
  stretch(terms, size);
  while (terms.size() > 1) {
    const auto [i, j] = best_pair(terms, p.output, size);
    Term both = contract(terms[i], terms[j], kept(terms, i, j, p.output), size);
    terms.erase(terms.begin() + j);
    terms[i] = std::move(both);
  }
  const Term r = sum_out(terms[0], p.output);
  return ordered(r, p.output);
}

}  // namespace nhwc
