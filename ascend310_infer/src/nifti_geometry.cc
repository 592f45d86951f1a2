// Where a NIfTI grid lies: which of its two forms counts, and what that says in ITK's words.
#include <vnl/algo/vnl_svd.h>
#include <vnl/vnl_matrix_fixed.h>

#include <cmath>

#include "errors.h"
#include "nifti_header.h"
#include "text.h"

namespace mindvoxel {
namespace {

using Rows = std::array<std::array<float, 4>, 3>;  // voxel index to mm, RAS; the fourth column is the origin
constexpr int kScanner = 1;                        // code of a form that is the scanner's own
constexpr double kSimilar = 1e-4;

/// The qform's rotation, as nifti1.h defines it.
Rows qform_rows(const NiftiForms& forms) {
  double b = forms.quaternion[0], c = forms.quaternion[1], d = forms.quaternion[2];
  double a = 1 - (b * b + c * c + d * d);
  if (a < 1e-7) {  // half a turn
    const double length = std::sqrt(b * b + c * c + d * d);
    b /= length;
    c /= length;
    d /= length;
    a = 0;
  } else {
    a = std::sqrt(a);
  }
  const double rotation[3][3] = {{a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)},
                                 {2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)},
                                 {2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b}};
  Rows rows{};
  for (std::size_t column = 0; column < 3; ++column) {
    const float mm = forms.pixdim[column + 1];
    const double length = (mm > 0 ? mm : 1.0) * (column == 2 && forms.pixdim[0] < 0 ? -1 : 1);
    for (std::size_t row = 0; row < 3; ++row) rows[row][column] = static_cast<float>(rotation[row][column] * length);
  }
  for (std::size_t row = 0; row < 3; ++row) rows[row][3] = forms.offset[row];
  return rows;
}

using Matrix = vnl_matrix_fixed<float, 3, 3>;

Matrix matrix_of(const Rows& rows) {
  Matrix matrix;
  for (unsigned int row = 0; row < 3; ++row) {
    for (unsigned int column = 0; column < 3; ++column) matrix(row, column) = rows[row][column];
  }
  return matrix;
}

double most_apart(const Rows& one, const Rows& other, std::size_t first, std::size_t last) {
  double apart = 0;
  for (std::size_t row = 0; row < 3; ++row) {
    for (std::size_t column = first; column < last; ++column) {
      apart = std::max<double>(apart, std::abs(one[row][column] - other[row][column]));
    }
  }
  return apart;
}

bool at_right_angles(const Rows& rows) {
  Matrix axes = matrix_of(rows);
  for (unsigned int column = 0; column < 3; ++column) {
    const float length = axes.get_column(column).magnitude();
    if (!(length > 0)) return false;
    axes.scale_column(column, 1 / length);
  }
  return (axes * axes.transpose()).is_identity(kSimilar);
}

/// The two forms say nearly the same: then the sform's numbers are the more exact ones.
bool nearly_equal(const Rows& sform, const Rows& qform) {
  const vnl_svd<float> s(matrix_of(sform).as_ref()), q(matrix_of(qform).as_ref());
  const vnl_matrix<float> turned = s.U() * q.U().transpose();
  return turned.is_identity(kSimilar) && s.W().diagonal().is_equal(q.W().diagonal(), kSimilar) &&
         most_apart(sform, qform, 3, 4) <= kSimilar;
}

bool prefers_sform(const NiftiForms& forms, const Rows& qform) {
  if (forms.sform_code > 0 && at_right_angles(forms.sform)) {
    return forms.qform_code == 0 || forms.sform_code == kScanner || nearly_equal(forms.sform, qform);
  }
  return most_apart(forms.sform, qform, 0, 3) <= 1e-5 && most_apart(forms.sform, qform, 3, 4) <= 1e-7;
}

}  // namespace

Geometry nifti_geometry(const std::filesystem::path& path, const NiftiForms& forms, std::size_t num_axes,
                        double mm_a_unit) {
  Geometry geometry;
  if (forms.qform_code == 0 && forms.sform_code == 0) return geometry;
  const Rows qform = qform_rows(forms);
  const bool by_sform = prefers_sform(forms, qform);
  if (!by_sform && forms.qform_code == 0) {
    throw InputError(text(path.string(),
                          ": its axes are not at right angles (sform), and it has no qform; resample it "
                          "to a grid whose axes are"));
  }
  const Rows& rows = by_sform ? forms.sform : qform;
  for (std::size_t axis = 0; axis < num_axes; ++axis) {
    const double sign = axis < 2 ? -1 : 1;  // RAS to LPS
    geometry.origin_mm[axis] = sign * rows[axis][3] * mm_a_unit;
    double squares = 0;
    for (std::size_t row = 0; row < num_axes; ++row) squares += double{rows[row][axis]} * rows[row][axis];
    const double length = squares > 0 ? std::sqrt(squares) : 1;
    for (std::size_t row = 0; row < num_axes; ++row) {
      geometry.direction[3 * row + axis] = (row < 2 ? -1 : 1) * double{rows[row][axis]} / length;
    }
  }
  return geometry;
}

}  // namespace mindvoxel
