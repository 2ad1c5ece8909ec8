"""The table beside the images as people write it: headers, separators, encodings, values, and where it lies."""

import unicodedata

import pytest
from chest_set import three_cases
from layouts import grey, original_montgomery, source_layout

import lungseg
from lungseg.datasets.verify import verify
from lungseg.errors import DataError


def patients(root, dataset="folder"):
    return {case.id: case.patient for case in lungseg.load(dataset, root)}


def table(root, text, name="metadata.csv", encoding="utf-8"):
    (root / name).write_bytes(text.encode(encoding))


@pytest.fixture
def root(tmp_path):
    """Images a and b, whose patients only a table tells."""
    source_layout(tmp_path, "a", "b")
    return tmp_path


HEADERS = {
    "blanks after commas": "id, patient\na, P\nb, P\n",
    "blanks before commas": "id ,patient \na ,P \nb ,P \n",
    "no-break spaces": "\u00a0id,patient\u00a0\na,\u00a0P\nb,P\n",
    "invisible characters": "id,\u200bpatient\na,P\u200b\nb,\ufeffP\n",
    "upper case": "ID,PATIENT\na,P\nb,P\n",
    "patient_id": "id,patient_id\na,P\nb,P\n",
    "Patient ID": "id,Patient ID\na,P\nb,P\n",
    "PatientID, as DICOM": "id,PatientID\na,P\nb,P\n",
    "subject": "id,Subject\na,P\nb,P\n",
    "NIH's names": "Image Index,Patient ID,Patient Age,Patient Sex\na.png,P,40,F\nb.png,P,41,M\n",
    "folders and endings in the ids": "file_name,patient\nimg/a.png,P\nimg\\b.PNG,P\n",
    "wide letters": "\uff49\uff44,\uff50atient\na,P\nb,P\n",
    "quotes": '"id","patient"\n"a","P"\n"b","P"\n',
    "an index of pandas": ",id,patient\n0,a,P\n1,b,P\n",
    "ids of patients beside names of files": "filename,id,patient\na.png,7,P\nb.png,7,P\n",
}


@pytest.mark.fault("F106")
@pytest.mark.parametrize("text", HEADERS.values(), ids=HEADERS)
def test_a_header_is_read_however_it_is_written(root, text):
    table(root, text)
    assert patients(root) == {"a": "P", "b": "P"}


@pytest.mark.fault("F106")
@pytest.mark.parametrize(
    "column", ["patients_name", "Patienten-Nr.", "subject code", "id_paciente", "PersonKey", "study subject"]
)
def test_a_column_that_seems_to_hold_patients_is_refused_where_none_is_understood(root, column):
    table(root, f"id,{column}\na,P\nb,P\n")
    with pytest.raises(DataError, match="seems to identify patients") as caught:
        lungseg.load("folder", root)
    assert repr(column) in str(caught.value)


@pytest.mark.fault("F106")
def test_ids_that_repeat_beside_names_of_files_are_refused_as_unnamed_patients(root):
    table(root, "id,filename\n7,a.png\n7,b.png\n")
    with pytest.raises(DataError, match="column 'id' seems to identify patients"):
        lungseg.load("folder", root)


@pytest.mark.fault("F106")
@pytest.mark.parametrize("columns", ["patient,patient_id", "subject,Patient"])
def test_two_columns_of_patients_are_refused(root, columns):
    table(root, f"id,{columns}\na,P,P\nb,P,Q\n")
    with pytest.raises(DataError, match="both mean 'patient'"):
        lungseg.load("folder", root)


@pytest.mark.fault("F106")
@pytest.mark.parametrize(
    ("one", "other"), [("P1", "p1"), ("P 1", "P  1"), ("12", "12.0"), ("é", "e\u0301"), ("\uff301", "P1")]
)
def test_one_patient_in_two_spellings_is_one(root, one, other):
    table(root, f"id,patient\na,{one}\nb,{other}\n")
    assert len(set(patients(root).values())) == 1


@pytest.mark.fault("F106")
def test_a_properties_column_is_no_patient_and_is_told_as_unread(tmp_path):
    three_cases(tmp_path)
    table(tmp_path, "id,patient,PatientBirthDate,view\na,1,2000,AP\nb,2,2001,PA\nc,3,2002,PA\n")
    kinds = verify("folder", tmp_path).warnings
    assert kinds["columns of metadata.csv that are ignored"] == ["PatientBirthDate", "view"]
    table(tmp_path, "id,PatientBirthDate\na,2000\nb,2001\nc,2002\n")
    assert verify("folder", tmp_path).errors == []


@pytest.mark.fault("F106")
def test_images_without_a_patient_among_others_are_told(tmp_path):
    three_cases(tmp_path)
    table(tmp_path, "id,patient\na,1\nb,\nc,NaN\n")
    assert patients(tmp_path) == {"a": "1", "b": "b", "c": "c"}
    assert [names for kind, names in verify("folder", tmp_path).warnings.items() if "no patient given" in kind] == [
        ["b", "c"]
    ]


@pytest.mark.fault("F106")
@pytest.mark.parametrize("name", ["Metadata.csv", "METADATA.CSV", "MetaData.csv"])
def test_the_files_name_may_be_written_in_any_case(root, name):
    table(root, "id,patient\na,P\nb,P\n", name)
    assert patients(root) == {"a": "P", "b": "P"}


@pytest.mark.fault("F106")
@pytest.mark.parametrize("name", ["metadata.xlsx", "metadata.tsv", "Metadata.txt", "metadata.csv.txt", "patients.csv"])
def test_a_table_of_another_name_or_format_is_refused_rather_than_passed_over(root, name):
    table(root, "id,patient\na,P\nb,P\n", name)
    with pytest.raises(DataError, match=r"metadata\.csv") as caught:
        lungseg.load("folder", root)
    assert name in str(caught.value)


@pytest.mark.fault("F106")
@pytest.mark.parametrize("where", ["img/metadata.csv", "mask/table.csv"])
def test_a_table_of_patients_among_the_images_is_refused(root, where):
    (root / where).write_text("id,patient\na,P\nb,P\n")
    with pytest.raises(DataError, match=f"{where}: names patients and is not read"):
        lungseg.load("folder", root)


@pytest.mark.fault("F106")
def test_two_tables_that_differ_in_case_are_refused_and_a_spreadsheet_renamed_is_called_that(root):
    table(root, "id,patient\na,P\nb,P\n")
    table(root, "id,patient\na,P\nb,Q\n", "Metadata.csv")
    with pytest.raises(DataError, match="keep one"):
        lungseg.load("folder", root)
    (root / "Metadata.csv").unlink()
    (root / "metadata.csv").write_bytes(b"PK\x03\x04" + bytes(99))
    with pytest.raises(DataError, match="spreadsheet"):
        lungseg.load("folder", root)


@pytest.mark.fault("F106")
@pytest.mark.parametrize("where", ["scores.csv", "img/notes.csv", "../metadata.csv"])
def test_tables_that_nothing_reads_are_told(tmp_path, where):
    root = tmp_path / "set"
    root.mkdir()
    three_cases(root)
    (root / where).write_text("id,score\na,1\n")
    details = [name for kind, names in verify("folder", root).warnings.items() if "ignored" in kind for name in names]
    assert len(details) == 1
    assert details[0].endswith(where.removeprefix("../"))


@pytest.mark.fault("F107")
def test_a_table_beside_an_original_layout_says_more_than_the_readings(tmp_path):
    original_montgomery(tmp_path, "MCUCXR_0001_0", "MCUCXR_0003_0")
    table(tmp_path, "id,patient,age\nMCUCXR_0001_0,P,77\nMCUCXR_0003_0,P,\n")
    one, other = lungseg.load("montgomery", tmp_path)
    assert (one.patient, other.patient) == ("P", "P")
    assert (one.attributes["age"], other.attributes["age"]) == (77, 28)
    assert (one.attributes["sex"], one.spacing_mm) == ("F", (0.0875, 0.0875))


def original_shenzhen(root, *stems):
    for stem in stems:
        grey(root / "CXR_png" / f"{stem}.png")
        grey(root / "mask" / f"{stem}_mask.png", 255)
    (root / "ClinicalReadings").mkdir()


@pytest.mark.fault("F107")
def test_shenzhens_table_may_name_the_images_that_have_no_mask(tmp_path):
    original_shenzhen(tmp_path, "CHNCXR_0001_0", "CHNCXR_0002_0", "CHNCXR_0003_1")
    (tmp_path / "mask" / "CHNCXR_0003_1_mask.png").unlink()
    table(tmp_path, "id,patient\nCHNCXR_0001_0,P\nCHNCXR_0002_0,P\nCHNCXR_0003_1,Q\n")
    assert patients(tmp_path, "shenzhen") == {"CHNCXR_0001_0": "P", "CHNCXR_0002_0": "P"}
    assert "ignored" not in verify("shenzhen", tmp_path).text()
    table(tmp_path, "id,patient\nCHNCXR_0001_0,P\nCHNCXR_0002_0,P\nCHNCXR_0009_1,Q\n")
    with pytest.raises(DataError, match="'CHNCXR_0009_1' has no image"):
        lungseg.load("shenzhen", tmp_path)


@pytest.mark.fault("F107")
@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("male 37yrs\nnormal\n", {"sex": "M", "age": 37}),
        ("Female, 24yrs\r\nPTB, male relatives ill\r\n", {"sex": "F", "age": 24}),
        ("  Male,  52 years \n", {"sex": "M", "age": 52}),
        ("\ufefffemale 7months\n", {"sex": "F", "age": 0}),
        ("normal\n", {}),
        ("", {}),
    ],
)
def test_shenzhens_readings_tell_sex_and_age(tmp_path, text, known):
    original_shenzhen(tmp_path, "CHNCXR_0001_1")
    (tmp_path / "ClinicalReadings" / "CHNCXR_0001_1.txt").write_text(text, encoding="utf-8")
    assert dict(lungseg.load("shenzhen", tmp_path)[0].attributes) == {**known, "tb": 1}


ROWS = "id,patient,sex,age\na,P,F,40\nb,P,M,50\n"
FORMS = {
    "semicolons": ROWS.replace(",", ";"),
    "tabs": ROWS.replace(",", "\t"),
    "bars": ROWS.replace(",", "|"),
    "Excel's own line": "sep=;\r\n" + ROWS.replace(",", ";"),
    "rows of separators below": ROWS + ",,,\n,,,\n",
    "rows of blanks and a blank first line": "\n" + ROWS + " , ,\t,\n\n",
    "Windows's line ends": ROWS.replace("\n", "\r\n"),
    "old Macs' line ends": ROWS.replace("\n", "\r"),
    "empty columns at the right": ROWS.replace("\n", ",,\n"),
    "ages of pandas": ROWS.replace("40", "40.0").replace("50", "50.0"),
    "ages of DICOM": ROWS.replace("40", "040Y").replace("50", "050Y"),
    "ages with words": ROWS.replace("40", "40 yrs").replace("50", "50years"),
    "decimal commas": ROWS.replace(",", ";").replace("40", "40,0"),
    "sexes in words": ROWS.replace(",F,", ",female,").replace(",M,", ",Male,"),
    "sexes in small letters": ROWS.replace(",F,", ",f,").replace(",M,", ",m,"),
}


@pytest.mark.fault("F108")
@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_a_table_is_read_whatever_a_spreadsheet_made_of_it(root, text):
    table(root, text)
    a, b = lungseg.load("folder", root)
    assert (a.patient, dict(a.attributes)) == ("P", {"sex": "F", "age": 40})
    assert (b.patient, dict(b.attributes)) == ("P", {"sex": "M", "age": 50})


@pytest.mark.fault("F108")
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"]
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_with_accents_are_matched_in_every_encoding_and_form(tmp_path, encoding, form):
    stems = [unicodedata.normalize(form, name) for name in ("Müller", "Pérez")]
    source_layout(tmp_path, *stems)
    table(tmp_path, "id,patient\nMüller,é\nPérez,é\n", encoding=encoding)
    assert patients(tmp_path) == {"Müller": "é", "Pérez": "é"}


@pytest.mark.fault("F108")
def test_an_image_and_its_mask_may_be_named_in_two_forms_of_one_name(tmp_path):
    source_layout(tmp_path, "Müller")
    mask = tmp_path / "mask" / "Müller.png"
    mask.rename(mask.with_name(unicodedata.normalize("NFD", mask.name)))
    assert [case.id for case in lungseg.load("folder", tmp_path)] == ["Müller"]
    (mask.parent / "Müller.png").write_bytes(b"")
    with pytest.raises(DataError, match="two images of one name 'Müller'"):
        lungseg.load("folder", tmp_path)


@pytest.mark.fault("F108", "F110")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "an empty file"),
        ("id,patient\n", "no rows"),
        ("id,patient\n,,\n", "no rows"),
        ("id,age\na,413\nb,40\n", r"line 2 \('a'\): age '413' is more than 120"),
        ("id,age\na,40\n\nb,-3\n", r"line 4 \('b'\): age '-3' must be whole"),
        ("id,age\na,4O\nb,40\n", "age '4O'"),
        ("id,tb\na,0.5\nb,1.0\n", "tb '0.5'"),
        ("id,sex\na,F\nb,W?\n", r"line 3 \('b'\): sex 'W\?'"),
        ("id,age\na,1,2\nb,3\n", "line 2 has 3 values and the header 2 columns"),
        ("id,age,age\na,1,2\nb,3,4\n", "'age' occurs twice"),
        ("id,spacing_row_mm,spacing_column_mm\na,0,1\nb,1,1\n", "spacing_row_mm '0' mm is not plausible"),
        ("id,spacing_row_mm,spacing_column_mm\na,1,-0.5\nb,1,1\n", "spacing_column_mm '-0.5' mm is not plausible"),
        ("id,spacing_row_mm,spacing_column_mm\na,1,\nb,1,1\n", "give both"),
        ("id,native_height,native_width\na,0,10\nb,1,1\n", "native_height '0' must be"),
        ("id,native_height,native_width\na,10,-10\nb,1,1\n", "native_width '-10' must be"),
        ("id,native_height,native_width\na,10,1e9\nb,1,1\n", "native_width '1e9' must be"),
        ("id,age\nA,40\nb,41\n", "is 'a' meant"),
        ("name;patient\na;P\nb;P\n", "no column 'id'.*'name', 'patient'"),
    ],
)
def test_what_cannot_be_is_named_with_its_row_and_value(root, text, expected):
    table(root, text)
    with pytest.raises(DataError, match=expected):
        lungseg.load("montgomery", root)


@pytest.mark.fault("F108")
def test_every_wrong_value_is_in_one_error(root):
    table(root, "id,age,sex\na,413,X\nb,old,M\nz,1,F\n")
    with pytest.raises(DataError) as caught:
        lungseg.load("folder", root)
    assert len(caught.value.problems) == 4


@pytest.mark.fault("F110")
@pytest.mark.parametrize(
    ("columns", "values", "unknown"),
    [
        ("spacing_row_mm,spacing_column_mm", ["0.7,0.7", ",", "0.7,0.7"], ["b"]),
        ("Spacing Row MM;Spacing Column MM", ["0,7;0,7", ";", "nan;nan"], ["b", "c"]),
        ("spacing_row_mm,spacing_column_mm", ["0.7,0.7"] * 3, []),
        ("spacing_row_mm,spacing_column_mm", [","] * 3, []),
    ],
)
def test_spacing_of_some_images_only_is_told(tmp_path, columns, values, unknown):
    three_cases(tmp_path)
    mark = ";" if ";" in columns else ","
    rows = [f"{stem}{mark}{value}" for stem, value in zip("abc", values, strict=True)]
    table(tmp_path, "\n".join([f"id{mark}{columns}", *rows]))
    details = [names for kind, names in verify("folder", tmp_path).warnings.items() if "spacing given for some" in kind]
    assert details == ([unknown] if unknown else [])
